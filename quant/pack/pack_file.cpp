#include "quant/pack/pack_file.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "model/io/hash.h"
#include "model/io/json.h"
#include "model/io/safetensors_header.h"
#include "quant/pack/pack_arrays.h"
#include "quant/pack/spellings.h"

namespace vlaserve {
namespace {

using nlohmann::json;

constexpr size_t kAlignment = 64;
constexpr size_t kLengthBytes = 8;
constexpr std::string_view kPaddingSuffix = ".padding";
constexpr std::string_view kChecksumPrefix = "crc32c.";
// A quotation mark inside a JSON text has a backslash before it: this is found in one place only.
constexpr std::string_view kHeaderChecksum = "\"header_crc32c\":\"";
constexpr std::string_view kNoChecksum = "00000000";

std::string Hex(uint32_t value) {
  std::array<char, 9> text{};
  std::snprintf(text.data(), text.size(), "%08x", value);
  return text.data();
}

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

size_t PaddingAfter(size_t bytes) { return (kAlignment - bytes % kAlignment) % kAlignment; }

using Metadata = std::map<std::string, std::string>;

Metadata Describe(const PackedLayer& pack) {
  return {
      {"vlaserve_pack", std::to_string(kPackFormatVersion)},
      {"layout", std::string(Spelling(kPackLayoutSpellings, pack.layout))},
      {"out_features", std::to_string(pack.out_features)},
      {"in_features", std::to_string(pack.in_features)},
      {"arithmetic", std::string(Spelling(kPackArithmeticSpellings, pack.arithmetic))},
      {"weight_bits", std::to_string(pack.weight_bits)},
      {"storage_bits", std::to_string(pack.storage_bits)},
      {"group", std::to_string(pack.group)},
      {"rotate_in", std::string(Spelling(kRotateInSpellings, pack.rotate_in))},
      {"block", std::to_string(pack.block)},
      {"rotate_out", std::string(Spelling(kRotateOutSpellings, pack.rotate_out))},
      {"block_out", std::to_string(pack.block_out)},
      {"header_crc32c", std::string(kNoChecksum)},
  };
}

// Length and JSON header, padded so that the data that follows is aligned.
std::string Header(const std::vector<PackArray>& arrays, Metadata metadata) {
  json header = json::object();
  uint64_t offset = 0;
  const auto declare = [&](const std::string& name, DType dtype, const json& shape, size_t size) {
    header[name] = {{"dtype", std::string(DTypeName(dtype))},
                    {"shape", shape},
                    {"data_offsets", {offset, offset + size}}};
    offset += size;
  };
  for (const PackArray& array : arrays) {
    const std::string name(array.name);
    declare(name, array.dtype, array.shape, array.bytes.size());
    metadata[std::string(kChecksumPrefix) + name] = Hex(Crc32c(array.bytes));
    const size_t padding = PaddingAfter(array.bytes.size());
    if (padding > 0 && &array != &arrays.back()) {
      declare(name + std::string(kPaddingSuffix), DType::kU8, {padding}, padding);
    }
  }
  header["__metadata__"] = metadata;
  std::string text = header.dump(-1, ' ', false, json::error_handler_t::replace);
  text.append(PaddingAfter(kLengthBytes + text.size()), ' ');
  std::string file_start;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    file_start.push_back(static_cast<char>(text.size() >> (8 * i) & 0xFF));
  }
  file_start += text;
  const std::string checksum = Hex(Crc32c(Bytes(file_start)));
  return file_start.replace(file_start.find(kHeaderChecksum) + kHeaderChecksum.size(),
                            checksum.size(), checksum);
}

class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& path) : bytes_(bytes), path_(path) {}

  Result<PackFile> Read(PackChecksums checksums) {
    VLASERVE_ASSIGN_OR_RETURN(SafetensorsContent content, ParseSafetensors(bytes_, path_));
    metadata_ = std::move(content.metadata);
    VLASERVE_RETURN_IF_ERROR(CheckVersion());
    VLASERVE_RETURN_IF_ERROR(CheckHeader());
    PackFile file;
    VLASERVE_RETURN_IF_ERROR(ReadNumbers(file.layer));
    for (const auto& [name, tensor] : content.tensors) {
      VLASERVE_RETURN_IF_ERROR(AddTensor(name, tensor, file.layer).WithContext(path_));
    }
    VLASERVE_RETURN_IF_ERROR(CheckPackArrays(file.layer).WithContext(path_));
    for (const PackArray& array : PackArrays(file.layer)) {
      const TensorView& tensor = content.tensors.at(std::string(array.name));
      if (tensor.shape != array.shape) {
        return Error(std::string(array.name) + " has shape " + ShapeToString(tensor.shape) +
                     ", expected " + ShapeToString(array.shape));
      }
    }
    if (checksums == PackChecksums::kVerify) {
      for (const auto& [name, tensor] : content.tensors) {
        VLASERVE_RETURN_IF_ERROR(CheckBytes(name, tensor));
      }
    }
    VLASERVE_ASSIGN_OR_RETURN(file.manifest, Text("manifest"));
    VLASERVE_ASSIGN_OR_RETURN(file.provenance, Text("provenance"));
    return file;
  }

 private:
  Status Error(const std::string& message) const {
    return {StatusCode::kUnreadable, path_ + ": " + message};
  }

  Result<std::string> Text(const std::string& key) const {
    const auto found = metadata_.find(key);
    if (found == metadata_.end()) return Error("metadata has no \"" + key + "\"");
    return found->second;
  }

  Status CheckVersion() const {
    VLASERVE_ASSIGN_OR_RETURN(const std::string version, Text("vlaserve_pack"));
    if (version != std::to_string(kPackFormatVersion)) {
      return Error("format version " + version + ", expected " +
                   std::to_string(kPackFormatVersion) +
                   ": packs of other versions are not read but built anew from the weights");
    }
    return Status::Ok();
  }

  // The checksum of everything before the data, itself counted as zeros.
  Status CheckHeader() {
    VLASERVE_ASSIGN_OR_RETURN(const std::string stored, Text("header_crc32c"));
    uint64_t length = 0;
    for (size_t i = 0; i < kLengthBytes; ++i) {
      length |= uint64_t{std::to_integer<uint8_t>(bytes_[i])} << (8 * i);
    }
    data_start_ = kLengthBytes + length;
    std::string start(reinterpret_cast<const char*>(bytes_.data()), data_start_);
    const size_t at = start.find(kHeaderChecksum);
    if (at == std::string::npos || stored.size() != kNoChecksum.size()) {
      return Error("header_crc32c is not written as it should be");
    }
    start.replace(at + kHeaderChecksum.size(), kNoChecksum.size(), kNoChecksum);
    if (Hex(Crc32c(Bytes(start))) != stored) {
      return Error("the header does not match its checksum: the file is damaged");
    }
    if (data_start_ % kAlignment != 0) {
      return Error("the data begins at byte " + std::to_string(data_start_) +
                   ", which is not a multiple of 64");
    }
    return Status::Ok();
  }

  Status ReadNumber(const std::string& key, int64_t& value) const {
    VLASERVE_ASSIGN_OR_RETURN(const std::string text, Text(key));
    const char* const end = text.data() + text.size();
    const auto [parsed, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || parsed != end) {
      return Error(key + " is \"" + text + "\", expected an integer");
    }
    return Status::Ok();
  }

  template <typename Enum, size_t kCount>
  Status ReadSpelling(const std::string& key, const Spellings<Enum, kCount>& table,
                      Enum& value) const {
    VLASERVE_ASSIGN_OR_RETURN(const std::string text, Text(key));
    const std::optional<Enum> found = FromSpelling(table, text);
    if (!found) return Error(key + " is \"" + text + "\", expected " + SpellingList(table));
    value = *found;
    return Status::Ok();
  }

  Status ReadNumbers(PackedLayer& pack) const {
    const std::pair<const char*, int64_t*> numbers[] = {{"out_features", &pack.out_features},
                                                        {"in_features", &pack.in_features},
                                                        {"weight_bits", &pack.weight_bits},
                                                        {"storage_bits", &pack.storage_bits},
                                                        {"group", &pack.group},
                                                        {"block", &pack.block},
                                                        {"block_out", &pack.block_out}};
    for (const auto& [key, value] : numbers) VLASERVE_RETURN_IF_ERROR(ReadNumber(key, *value));
    VLASERVE_RETURN_IF_ERROR(ReadSpelling("arithmetic", kPackArithmeticSpellings, pack.arithmetic));
    VLASERVE_RETURN_IF_ERROR(ReadSpelling("layout", kPackLayoutSpellings, pack.layout));
    VLASERVE_RETURN_IF_ERROR(ReadSpelling("rotate_in", kRotateInSpellings, pack.rotate_in));
    return ReadSpelling("rotate_out", kRotateOutSpellings, pack.rotate_out);
  }

  static bool IsPadding(std::string_view name) { return name.ends_with(kPaddingSuffix); }

  Status AddTensor(const std::string& name, const TensorView& tensor, PackedLayer& pack) const {
    if (IsPadding(name)) return Status::Ok();
    const size_t offset = static_cast<size_t>(tensor.bytes.data() - bytes_.data());
    if (offset % kAlignment != 0) {
      return {StatusCode::kUnreadable, name + " begins at byte " + std::to_string(offset) +
                                           ", which is not a multiple of 64"};
    }
    return SetPackArray(name, tensor.dtype, tensor.bytes, pack);
  }

  Status CheckBytes(const std::string& name, const TensorView& tensor) const {
    if (IsPadding(name)) {
      if (std::all_of(tensor.bytes.begin(), tensor.bytes.end(),
                      [](std::byte byte) { return byte == std::byte{0}; })) {
        return Status::Ok();
      }
      return Error(name + " is not zero: the file is damaged");
    }
    VLASERVE_ASSIGN_OR_RETURN(const std::string stored, Text(std::string(kChecksumPrefix) + name));
    if (Hex(Crc32c(tensor.bytes)) == stored) return Status::Ok();
    return Error(name + " does not match its checksum: the file is damaged");
  }

  std::span<const std::byte> bytes_;
  const std::string& path_;
  Metadata metadata_;
  size_t data_start_ = 0;
};

}  // namespace

Status WritePackFile(FileSystem& files, const std::string& path, const PackedLayer& pack,
                     const std::string& manifest, const std::string& provenance) {
  if (const Status status = CheckPackArrays(pack); !status.ok()) {
    return {StatusCode::kInternal,
            path + ": not written, the pack is not sound: " + status.message()};
  }
  const std::vector<PackArray> arrays = PackArrays(pack);
  Metadata metadata = Describe(pack);
  metadata["manifest"] = manifest;
  metadata["provenance"] = provenance;
  const std::string header = Header(arrays, std::move(metadata));
  uint64_t size = header.size();
  for (const PackArray& array : arrays) {
    size += array.bytes.size();
    if (&array != &arrays.back()) size += PaddingAfter(array.bytes.size());
  }

  static constexpr std::array<std::byte, kAlignment> kZeros{};
  VLASERVE_ASSIGN_OR_RETURN(const std::unique_ptr<WritableFile> file,
                            files.CreateEntry(path, size));
  VLASERVE_RETURN_IF_ERROR(file->Append(Bytes(header)));
  for (const PackArray& array : arrays) {
    VLASERVE_RETURN_IF_ERROR(file->Append(array.bytes));
    const size_t padding = PaddingAfter(array.bytes.size());
    if (padding > 0 && &array != &arrays.back()) {
      VLASERVE_RETURN_IF_ERROR(file->Append(std::span(kZeros).first(padding)));
    }
  }
  return file->Commit();
}

Result<PackFile> ReadPackFile(std::shared_ptr<const MappedFile> file, const std::string& path,
                              PackChecksums checksums) {
  VLASERVE_ASSIGN_OR_RETURN(PackFile pack, Reader(file->bytes(), path).Read(checksums));
  pack.layer.owner = std::move(file);
  return pack;
}

}  // namespace vlaserve
