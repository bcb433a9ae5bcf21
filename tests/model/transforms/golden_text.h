// Texts of golden files: hexadecimal bytes, code points.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace vlaserve {

// "6162" → "ab". Fails the running test for anything but pairs of hexadecimal digits.
std::string FromHex(std::string_view hex);

// UTF-8 of a code point up to U+10FFFF.
std::string EncodeUtf8(uint32_t code_point);

}  // namespace vlaserve
