#include "quant/pack/npy.h"

#include <bit>
#include <charconv>
#include <cstring>
#include <optional>

#include "model/io/safetensors.h"

namespace vlaserve {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::string_view kMagic("\x93NUMPY\x01\x00", 8);
constexpr size_t kLengthBytes = 2;
constexpr size_t kMaxDimensions = 2;

Status Error(std::string_view origin, const std::string& message) {
  return {StatusCode::kUnreadable, std::string(origin) + ": " + message};
}

// Reads the header's Python literal from left to right:
// {'descr': '<f4', 'fortran_order': True, 'shape': (16, 16), }
class HeaderCursor {
 public:
  explicit HeaderCursor(std::string_view text) : text_(text) {}

  bool Skip(std::string_view expected) {
    if (!text_.starts_with(expected)) return false;
    text_.remove_prefix(expected.size());
    return true;
  }

  std::optional<std::string> Until(char end) {
    const size_t at = text_.find(end);
    if (at == std::string_view::npos) return std::nullopt;
    std::string part(text_.substr(0, at));
    text_.remove_prefix(at);
    return part;
  }

  std::optional<int64_t> Number() {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
    if (error != std::errc() || value < 0) return std::nullopt;
    text_.remove_prefix(static_cast<size_t>(end - text_.data()));
    return value;
  }

  bool OnlyBlanksLeft() const { return text_.find_first_not_of(" \n") == std::string_view::npos; }

 private:
  std::string_view text_;
};

// False if the literal is not of the form that NumPy writes for arrays of up to two dimensions.
bool ParseHeader(std::string_view text, NpyArray& array) {
  HeaderCursor cursor(text);
  if (!cursor.Skip("{'descr': '")) return false;
  const auto descr = cursor.Until('\'');
  if (!descr || !cursor.Skip("', 'fortran_order': ")) return false;
  array.descr = *descr;
  array.fortran_order = cursor.Skip("True");
  if (!array.fortran_order && !cursor.Skip("False")) return false;
  if (!cursor.Skip(", 'shape': (")) return false;
  while (!cursor.Skip(")")) {
    const auto dimension = cursor.Number();
    if (!dimension || array.shape.size() == kMaxDimensions) return false;
    array.shape.push_back(*dimension);
    const bool comma = cursor.Skip(",");
    // One dimension stands as "(5,)".
    if (!comma && array.shape.size() == 1) return false;
    if (comma) cursor.Skip(" ");
  }
  return cursor.Skip(", }") && cursor.OnlyBlanksLeft();
}

// Bytes of one element; nothing for a type that packs do not have.
std::optional<int64_t> ElementSize(std::string_view descr) {
  if (descr == "<f4") return 4;
  if (descr == "<i8") return 8;
  if (!descr.starts_with("<U")) return std::nullopt;
  int64_t characters = 0;
  const char* const end = descr.data() + descr.size();
  const auto [parsed, error] = std::from_chars(descr.data() + 2, end, characters);
  constexpr int64_t kMaxCharacters = 1 << 20;
  if (error != std::errc() || parsed != end || characters < 0 || characters > kMaxCharacters) {
    return std::nullopt;
  }
  return 4 * characters;
}

template <typename T>
std::vector<T> CopyElements(const NpyArray& array) {
  std::vector<T> stored(array.data.size() / sizeof(T));
  if (!stored.empty()) std::memcpy(stored.data(), array.data.data(), array.data.size());
  if (!array.fortran_order || array.shape.size() < 2) return stored;
  const size_t rows = static_cast<size_t>(array.shape[0]);
  const size_t columns = static_cast<size_t>(array.shape[1]);
  std::vector<T> values(stored.size());
  for (size_t row = 0; row < rows; ++row) {
    for (size_t column = 0; column < columns; ++column) {
      values[row * columns + column] = stored[column * rows + row];
    }
  }
  return values;
}

Status CheckDescr(const NpyArray& array, std::string_view expected, std::string_view origin) {
  if (array.descr == expected) return Status::Ok();
  return Error(origin, "has element type \"" + array.descr + "\", expected \"" +
                           std::string(expected) + "\"");
}

void AppendUtf8(uint32_t point, std::string& text) {
  const auto put = [&](uint32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (point < 0x80) return put(point);
  if (point < 0x800) {
    put(0xC0 | point >> 6);
  } else if (point < 0x10000) {
    put(0xE0 | point >> 12);
    put(0x80 | (point >> 6 & 0x3F));
  } else {
    put(0xF0 | point >> 18);
    put(0x80 | (point >> 12 & 0x3F));
    put(0x80 | (point >> 6 & 0x3F));
  }
  put(0x80 | (point & 0x3F));
}

}  // namespace

Result<NpyArray> ParseNpy(std::span<const std::byte> bytes, std::string_view origin) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!text.starts_with(kMagic)) {
    return Error(origin, "does not begin as an .npy array of version 1.0 does");
  }
  const size_t header_at = kMagic.size() + kLengthBytes;
  if (bytes.size() < header_at) return Error(origin, "ends within its header");
  const size_t length = std::to_integer<size_t>(bytes[kMagic.size()]) |
                        std::to_integer<size_t>(bytes[kMagic.size() + 1]) << 8;
  if (bytes.size() - header_at < length) return Error(origin, "ends within its header");

  NpyArray array;
  if (!ParseHeader(text.substr(header_at, length), array)) {
    return Error(origin,
                 "has a header that NumPy does not write, expected {'descr': …, 'fortran_order': "
                 "…, 'shape': (…), } with at most two dimensions");
  }
  const std::optional<int64_t> element = ElementSize(array.descr);
  if (!element) {
    return Error(origin, "has element type \"" + array.descr +
                             "\", expected \"<f4\", \"<i8\" or \"<U…\" of a reasonable length");
  }
  int64_t size = *element;
  for (const int64_t dimension : array.shape) {
    if (__builtin_mul_overflow(size, dimension, &size)) {
      return Error(origin, "shape " + ShapeToString(array.shape) + " is larger than any file");
    }
  }
  array.data = bytes.subspan(header_at + length);
  if (array.data.size() != static_cast<uint64_t>(size)) {
    return Error(origin, "has " + std::to_string(array.data.size()) + " bytes of data, \"" +
                             array.descr + "\" " + ShapeToString(array.shape) + " needs " +
                             std::to_string(size));
  }
  return array;
}

Result<std::vector<float>> NpyFloats(const NpyArray& array, std::string_view origin) {
  VLASERVE_RETURN_IF_ERROR(CheckDescr(array, "<f4", origin));
  return CopyElements<float>(array);
}

Result<std::vector<int64_t>> NpyInts(const NpyArray& array, std::string_view origin) {
  VLASERVE_RETURN_IF_ERROR(CheckDescr(array, "<i8", origin));
  return CopyElements<int64_t>(array);
}

Result<std::string> NpyText(const NpyArray& array, std::string_view origin) {
  if (!array.descr.starts_with("<U") || !array.shape.empty()) {
    return Error(origin, "is \"" + array.descr + "\" " + ShapeToString(array.shape) +
                             ", expected one text (\"<U…\" [])");
  }
  std::vector<uint32_t> points(array.data.size() / sizeof(uint32_t));
  if (!points.empty()) std::memcpy(points.data(), array.data.data(), array.data.size());
  while (!points.empty() && points.back() == 0) points.pop_back();
  std::string text;
  for (const uint32_t point : points) {
    if (point > 0x10FFFF || (point >= 0xD800 && point < 0xE000)) {
      return Error(origin, "holds " + std::to_string(point) + ", which is no Unicode character");
    }
    AppendUtf8(point, text);
  }
  return text;
}

}  // namespace vlaserve
