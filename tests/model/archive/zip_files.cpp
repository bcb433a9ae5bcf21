#include "tests/model/archive/zip_files.h"

#include <cstddef>
#include <limits>
#include <span>

#include "model/archive/zip_writer.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

class MemoryFile : public MappedFile {
 public:
  explicit MemoryFile(std::string bytes) : bytes_(std::move(bytes)) {}
  std::span<const std::byte> bytes() const override { return std::as_bytes(std::span(bytes_)); }
  void Release(size_t, size_t) const override {}

 private:
  std::string bytes_;
};

class MemoryWriter : public WritableFile {
 public:
  Status Append(std::span<const std::byte> bytes) override {
    content.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return Status::Ok();
  }
  Status Commit() override { return Status::Ok(); }

  std::string content;
};

std::string TopFolder(const ZipReader& zip) {
  const std::string& name = zip.records().at(0).name;
  return name.substr(0, name.find('/') + 1);
}

}  // namespace

std::string MakeZip(const std::vector<std::pair<std::string, std::string>>& records) {
  MemoryWriter file;
  ZipWriter writer(file);
  for (const auto& [name, content] : records) REQUIRE(writer.Add(name, content).ok());
  REQUIRE(writer.Finish().ok());
  return file.content;
}

std::shared_ptr<const MappedFile> InMemory(std::string bytes) {
  return std::make_shared<MemoryFile>(std::move(bytes));
}

Result<ZipReader> OpenZip(std::string bytes) {
  return ZipReader::Open(InMemory(std::move(bytes)), "test.zip");
}

std::string ChangeRecords(const std::string& path,
                          const std::map<std::string, std::optional<std::string>>& changes) {
  const auto zip = OpenZip(ReadBytes(path));
  REQUIRE(zip.ok());
  const std::string folder = TopFolder(*zip);
  MemoryWriter file;
  ZipWriter writer(file);
  for (const ZipRecord& record : zip->records()) {
    if (!changes.contains(record.name.substr(folder.size()))) {
      REQUIRE(writer.Copy(*zip, record).ok());
    }
  }
  for (const auto& [name, content] : changes) {
    if (content.has_value()) REQUIRE(writer.Add(folder + name, *content).ok());
  }
  REQUIRE(writer.Finish().ok());
  return file.content;
}

std::string RecordContent(const std::string& path, std::string_view name) {
  const auto zip = OpenZip(ReadBytes(path));
  REQUIRE(zip.ok());
  const ZipRecord* record = zip->Find(TopFolder(*zip) + std::string(name));
  REQUIRE(record != nullptr);
  auto content = zip->Read(*record, record->bytes);
  REQUIRE(content.ok());
  return *content;
}

std::string ReadBytes(const std::string& path) {
  auto bytes = PosixFileSystem().Read(path, std::numeric_limits<size_t>::max());
  REQUIRE(bytes.ok());
  return *bytes;
}

}  // namespace vlaserve
