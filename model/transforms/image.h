// Pictures in memory.
#pragma once

#include <cstdint>
#include <vector>

#include "model/io/status.h"

namespace vlaserve {

// Pixels a side of a picture that a request may bring.
inline constexpr uint32_t kMaxImageSide = 4096;

// An 8-bit RGB picture: height × width × 3 bytes, rows from the top, no padding.
struct RgbImage {
  uint32_t height = 0;
  uint32_t width = 0;
  std::vector<uint8_t> pixels;
};

// kInvalidArgument unless both sides are within 1..kMaxImageSide.
Status CheckPictureSize(uint64_t height, uint64_t width);

}  // namespace vlaserve
