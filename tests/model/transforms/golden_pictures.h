// The pictures of transforms/resize.json, which are stored as formulas.
#pragma once

#include <cstdint>
#include <string_view>

#include "model/transforms/image.h"

namespace vlaserve {

// `pattern` is "linear", "hashed" or "checker"; any other name fails the running test.
RgbImage PatternPicture(std::string_view pattern, uint32_t height, uint32_t width);

// Turned by 180 degrees.
RgbImage Rotated180(const RgbImage& image);

}  // namespace vlaserve
