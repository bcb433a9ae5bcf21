#include "model/archive/archive_records.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "model/archive/foreign_file.h"

namespace vlaserve {
namespace {

constexpr uint64_t kMaxCodeBytes = uint64_t{64} << 20;
// Of the container, caffe2/serialize/versions.h: what LibTorch 2.11 reads.
constexpr int64_t kOldestFormat = 1;
constexpr int64_t kNewestFormat = 10;
// Where LibTorch looks, in this order.
constexpr const char* kVersion = ".data/version";
constexpr const char* kOldVersion = "version";
constexpr std::string_view kCodeFolder = "code/";
constexpr std::string_view kCodeSuffix = ".py";

// The top folder with its slash; empty if the zip is no TorchScript archive.
std::string TopFolder(const ZipReader& zip) {
  for (const ZipRecord& record : zip.records()) {
    const size_t slash = record.name.find('/');
    if (slash == std::string::npos || record.name.substr(slash + 1) != "constants.pkl") continue;
    std::string folder = record.name.substr(0, slash + 1);
    if (zip.Find(folder + "data.pkl") != nullptr) return folder;
  }
  return {};
}

}  // namespace

Result<ArchiveRecords> ArchiveRecords::Open(FileSystem& files, const std::string& path) {
  VLASERVE_ASSIGN_OR_RETURN(std::shared_ptr<const MappedFile> file, files.Map(path));
  const std::span<const std::byte> bytes = file->bytes();
  const std::string_view head(reinterpret_cast<const char*>(bytes.data()),
                              std::min<size_t>(bytes.size(), 4));
  if (head != std::string_view("PK\x03\x04", 4)) {
    return Status(StatusCode::kUnreadable,
                  path + ": " +
                      DescribeForeignFile(bytes).value_or(
                          "not a TorchScript archive: it does not start like a zip file"));
  }
  VLASERVE_ASSIGN_OR_RETURN(ZipReader zip, ZipReader::Open(std::move(file), path));

  ArchiveRecords records;
  records.folder_ = TopFolder(zip);
  if (records.folder_.empty()) {
    return Status(StatusCode::kUnreadable, path + ": " + DescribeForeignZip(zip));
  }
  for (const ZipRecord& record : zip.records()) {
    if (!record.name.starts_with(records.folder_)) {
      return Status(StatusCode::kUnreadable, path + ": record " + record.name +
                                                 " lies outside of the archive's folder " +
                                                 records.folder_);
    }
    const std::string_view name = std::string_view(record.name).substr(records.folder_.size());
    if (record.deflated && !name.starts_with(kCodeFolder)) {
      return Status(StatusCode::kUnreadable,
                    path + ": record " + record.name +
                        " is compressed; only code may be, the rest is used where it lies");
    }
  }
  records.zip_ = std::make_shared<const ZipReader>(std::move(zip));

  const char* version_record = records.Find(kVersion) != nullptr ? kVersion : kOldVersion;
  VLASERVE_ASSIGN_OR_RETURN(std::string version, records.Read(version_record, 32));
  if (version.ends_with('\n')) version.pop_back();
  const auto [end, error] =
      std::from_chars(version.data(), version.data() + version.size(), records.format_version_);
  if (error != std::errc() || end != version.data() + version.size() ||
      records.format_version_ < kOldestFormat || records.format_version_ > kNewestFormat) {
    return Status(StatusCode::kUnsupported, path + ": record " + version_record +
                                                ": TorchScript format " + version + "; expected " +
                                                std::to_string(kOldestFormat) + " to " +
                                                std::to_string(kNewestFormat));
  }
  if (records.Find("byteorder") != nullptr) {
    VLASERVE_ASSIGN_OR_RETURN(const std::string order, records.Read("byteorder", 32));
    if (order != "little") {
      return Status(StatusCode::kUnsupported, path + ": record byteorder: the tensors are stored " +
                                                  order + "-endian; expected little");
    }
  }
  return records;
}

const ZipRecord* ArchiveRecords::Find(std::string_view name) const {
  return zip_->Find(folder_ + std::string(name));
}

Result<std::string> ArchiveRecords::Read(std::string_view name, uint64_t max_bytes) const {
  const ZipRecord* record = Find(name);
  if (record == nullptr) {
    return Status(StatusCode::kUnreadable,
                  path() + ": the archive has no record " + std::string(name));
  }
  return zip_->Read(*record, max_bytes);
}

Result<std::vector<std::pair<std::string, std::string>>> ArchiveRecords::ReadCode() const {
  std::vector<std::pair<std::string, std::string>> code;
  uint64_t left = kMaxCodeBytes;
  for (const ZipRecord& record : zip_->records()) {
    std::string_view name = NameOf(record);
    if (!name.starts_with(kCodeFolder) || !name.ends_with(kCodeSuffix)) continue;
    name = name.substr(kCodeFolder.size(), name.size() - kCodeFolder.size() - kCodeSuffix.size());
    VLASERVE_ASSIGN_OR_RETURN(std::string source, zip_->Read(record, left));
    left -= source.size();
    std::string import_path(name);
    std::replace(import_path.begin(), import_path.end(), '/', '.');
    code.emplace_back(std::move(import_path), std::move(source));
  }
  return code;
}

std::string_view ArchiveRecords::NameOf(const ZipRecord& record) const {
  return std::string_view(record.name).substr(folder_.size());
}

}  // namespace vlaserve
