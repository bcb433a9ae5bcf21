#include "tests/model/transforms/golden_text.h"

#include <charconv>
#include <cstddef>

#include "tests/support/catch.h"

namespace vlaserve {

std::string FromHex(std::string_view hex) {
  REQUIRE(hex.size() % 2 == 0);
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2) {
    unsigned value = 0;
    const char* const end = hex.data() + i + 2;
    const auto parsed = std::from_chars(hex.data() + i, end, value, 16);
    REQUIRE((parsed.ec == std::errc() && parsed.ptr == end));
    bytes += static_cast<char>(value);
  }
  return bytes;
}

std::string EncodeUtf8(uint32_t code_point) {
  const auto tail = [&](int shift) {
    return static_cast<char>(0x80 | ((code_point >> shift) & 0x3F));
  };
  if (code_point < 0x80) return {static_cast<char>(code_point)};
  if (code_point < 0x800) return {static_cast<char>(0xC0 | code_point >> 6), tail(0)};
  if (code_point < 0x10000) {
    return {static_cast<char>(0xE0 | code_point >> 12), tail(6), tail(0)};
  }
  return {static_cast<char>(0xF0 | code_point >> 18), tail(12), tail(6), tail(0)};
}

}  // namespace vlaserve
