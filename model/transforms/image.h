// Pictures in memory.
#pragma once

#include <cstdint>
#include <vector>

namespace vlaserve {

// An 8-bit RGB picture: height × width × 3 bytes, rows from the top, no padding.
struct RgbImage {
  uint32_t height = 0;
  uint32_t width = 0;
  std::vector<uint8_t> pixels;
};

}  // namespace vlaserve
