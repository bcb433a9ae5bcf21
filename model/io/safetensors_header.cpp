#include "model/io/safetensors_header.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "model/io/json.h"

namespace vlaserve {
namespace {

using nlohmann::json;

constexpr size_t kLengthBytes = 8;
constexpr std::string_view kMetadataKey = "__metadata__";

// An entry of the header; offsets count from the start of the data section.
struct Entry {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  uint64_t begin = 0;
  uint64_t end = 0;
};

class HeaderParser {
 public:
  HeaderParser(std::span<const std::byte> bytes, std::string_view origin)
      : bytes_(bytes), origin_(origin) {}

  Result<SafetensorsContent> Parse() {
    VLASERVE_ASSIGN_OR_RETURN(const json header, ParseHeaderText());
    SafetensorsContent content;
    std::vector<Entry> entries;
    for (const auto& [name, value] : header.items()) {
      if (name == kMetadataKey) {
        VLASERVE_ASSIGN_OR_RETURN(content.metadata, ParseMetadata(value));
      } else {
        VLASERVE_ASSIGN_OR_RETURN(Entry entry, ParseEntry(name, value));
        entries.push_back(std::move(entry));
      }
    }
    VLASERVE_RETURN_IF_ERROR(CheckCoverage(entries));
    for (Entry& entry : entries) {
      TensorView view{entry.dtype, std::move(entry.shape),
                      data_.subspan(entry.begin, entry.end - entry.begin)};
      content.tensors.emplace(std::move(entry.name), std::move(view));
    }
    return content;
  }

 private:
  Status Error(const std::string& message) const {
    return {StatusCode::kUnreadable, std::string(origin_) + ": " + message};
  }
  Status TensorError(std::string_view name, const std::string& message) const {
    return Error("tensor \"" + std::string(name) + "\": " + message);
  }

  Result<json> ParseHeaderText() {
    if (bytes_.size() < kLengthBytes) {
      return Error("file of " + std::to_string(bytes_.size()) +
                   " bytes, a safetensors file has at least 8");
    }
    uint64_t length = 0;
    for (size_t i = 0; i < kLengthBytes; ++i) {
      length |= uint64_t{std::to_integer<uint8_t>(bytes_[i])} << (8 * i);
    }
    if (length > kSafetensorsMaxHeaderBytes) {
      return Error("header length " + std::to_string(length) + " at byte 0 is over the limit of " +
                   std::to_string(kSafetensorsMaxHeaderBytes) +
                   ": not a safetensors file or damaged");
    }
    if (length > bytes_.size() - kLengthBytes) {
      return Error("truncated: header of " + std::to_string(length) + " bytes, but only " +
                   std::to_string(bytes_.size() - kLengthBytes) + " follow the length");
    }
    const auto header = bytes_.subspan(kLengthBytes, length);
    data_ = bytes_.subspan(kLengthBytes + length);
    if (header.empty() || header[0] != std::byte{'{'}) {
      return Error("header does not begin with '{' at byte 8: not a safetensors file or damaged");
    }
    const std::string_view text(reinterpret_cast<const char*>(header.data()), header.size());
    return ParseJson(text, std::string(origin_) + ": header");
  }

  Result<std::map<std::string, std::string>> ParseMetadata(const json& value) const {
    if (!value.is_object()) return Error("__metadata__ is not an object");
    std::map<std::string, std::string> metadata;
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string()) return Error("__metadata__: \"" + key + "\" is not a string");
      metadata.emplace(key, text.get<std::string>());
    }
    return metadata;
  }

  Result<Entry> ParseEntry(const std::string& name, const json& value) const {
    if (!value.is_object()) return TensorError(name, "not an object");
    for (const auto& [key, unused] : value.items()) {
      if (key != "dtype" && key != "shape" && key != "data_offsets") {
        return TensorError(name, "unknown key \"" + key + "\"");
      }
    }
    for (const char* key : {"dtype", "shape", "data_offsets"}) {
      if (!value.contains(key)) return TensorError(name, std::string("has no ") + key);
    }
    Entry entry;
    entry.name = name;
    VLASERVE_ASSIGN_OR_RETURN(entry.dtype, ParseDType(name, value["dtype"]));
    VLASERVE_ASSIGN_OR_RETURN(entry.shape, ParseShape(name, value["shape"]));

    const json& offsets = value["data_offsets"];
    if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
        !offsets[1].is_number_unsigned()) {
      return TensorError(name, "data_offsets are not two non-negative integers");
    }
    entry.begin = offsets[0].get<uint64_t>();
    entry.end = offsets[1].get<uint64_t>();

    const std::string what = std::string(DTypeName(entry.dtype)) + " " + ShapeToString(entry.shape);
    const std::optional<uint64_t> size = CheckedByteSize(entry.dtype, entry.shape);
    if (!size) return TensorError(name, what + " is larger than any file");
    if (entry.end < entry.begin || entry.end - entry.begin != *size) {
      return TensorError(name, "data_offsets " + Range(entry.begin, entry.end) + " do not hold " +
                                   what + ", expected " + std::to_string(*size) + " bytes");
    }
    if (entry.end > data_.size()) {
      return TensorError(name, "ends at byte " + std::to_string(entry.end) +
                                   " of a data section of " + std::to_string(data_.size()) +
                                   " bytes: file is truncated");
    }
    return entry;
  }

  Result<DType> ParseDType(const std::string& name, const json& value) const {
    if (!value.is_string()) return TensorError(name, "dtype is not a string");
    const auto& text = value.get_ref<const std::string&>();
    const std::optional<DType> dtype = DTypeFromName(text);
    if (!dtype) {
      return TensorError(name, "dtype \"" + text +
                                   "\" is not supported, expected one of BOOL, U8, I8, I16, I32, "
                                   "I64, F16, BF16, F32, F64");
    }
    return *dtype;
  }

  Result<std::vector<int64_t>> ParseShape(const std::string& name, const json& value) const {
    if (!value.is_array()) return TensorError(name, "shape is not an array");
    std::vector<int64_t> shape;
    shape.reserve(value.size());
    for (const json& dimension : value) {
      if (!dimension.is_number_unsigned() ||
          dimension.get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()}) {
        return TensorError(name, "shape " + value.dump() +
                                     " has a dimension that is not an integer of 0 to 2^63 - 1");
      }
      shape.push_back(dimension.get<int64_t>());
    }
    return shape;
  }

  // Sorts by place; every byte of the data section must belong to exactly one tensor.
  Status CheckCoverage(std::vector<Entry>& entries) const {
    std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
      return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
    });
    uint64_t covered = 0;
    for (const Entry& entry : entries) {
      if (entry.begin < covered) {
        return TensorError(entry.name, "data_offsets " + Range(entry.begin, entry.end) +
                                           " overlap another tensor that ends at byte " +
                                           std::to_string(covered));
      }
      if (entry.begin > covered) {
        return TensorError(entry.name, "begins at byte " + std::to_string(entry.begin) +
                                           " of the data section, bytes from " +
                                           std::to_string(covered) + " belong to no tensor");
      }
      covered = entry.end;
    }
    if (covered != data_.size()) {
      return Error("data section of " + std::to_string(data_.size()) +
                   " bytes, but its tensors end at byte " + std::to_string(covered));
    }
    return Status::Ok();
  }

  static std::string Range(uint64_t begin, uint64_t end) {
    std::string text = std::to_string(begin);
    text += " to ";
    text += std::to_string(end);
    return text;
  }

  std::span<const std::byte> bytes_;
  std::span<const std::byte> data_;
  std::string_view origin_;
};

}  // namespace

std::optional<uint64_t> CheckedByteSize(DType dtype, std::span<const int64_t> shape) {
  int64_t size = static_cast<int64_t>(DTypeSize(dtype));
  for (const int64_t dimension : shape) {
    if (dimension < 0 || __builtin_mul_overflow(size, dimension, &size)) return std::nullopt;
  }
  return static_cast<uint64_t>(size);
}

Result<SafetensorsContent> ParseSafetensors(std::span<const std::byte> bytes,
                                            std::string_view origin) {
  return HeaderParser(bytes, origin).Parse();
}

}  // namespace vlaserve
