// Hand-made safetensors files for tests: right or wrong, as the header text says.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace vlaserve {

// Length field, header, data.
inline std::string SafetensorsBytes(std::string_view header, std::string_view data) {
  std::string bytes;
  for (unsigned i = 0; i < 8; ++i) {
    bytes.push_back(static_cast<char>(uint64_t{header.size()} >> (8 * i) & 0xFF));
  }
  bytes += header;
  bytes += data;
  return bytes;
}

}  // namespace vlaserve
