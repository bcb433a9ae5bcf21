#include "tests/model/transforms/golden_pictures.h"

#include <cstddef>
#include <string>

#include "tests/support/catch.h"

namespace vlaserve {
namespace {

uint8_t PatternByte(std::string_view pattern, uint64_t y, uint64_t x, uint64_t c) {
  if (pattern == "linear") return static_cast<uint8_t>(7 * x + 13 * y + 29 * c + x * y / 5);
  if (pattern == "checker") return (x / 3 + y / 2 + c) % 2 == 0 ? 0 : 255;
  const uint64_t mixed = (x * 73856093) ^ (y * 19349663) ^ (c * 83492791);
  return static_cast<uint8_t>((static_cast<uint32_t>(mixed) * 2654435761u) >> 24);
}

}  // namespace

RgbImage PatternPicture(std::string_view pattern, uint32_t height, uint32_t width) {
  INFO("pattern " << std::string(pattern));
  REQUIRE((pattern == "linear" || pattern == "hashed" || pattern == "checker"));
  RgbImage image;
  image.height = height;
  image.width = width;
  image.pixels.reserve(size_t{height} * width * 3);
  for (uint32_t y = 0; y < height; ++y) {
    for (uint32_t x = 0; x < width; ++x) {
      for (uint32_t c = 0; c < 3; ++c) image.pixels.push_back(PatternByte(pattern, y, x, c));
    }
  }
  return image;
}

RgbImage Rotated180(const RgbImage& image) {
  RgbImage turned = image;
  const size_t count = image.pixels.size() / 3;
  for (size_t i = 0; i < count; ++i) {
    for (size_t c = 0; c < 3; ++c) {
      turned.pixels[i * 3 + c] = image.pixels[(count - 1 - i) * 3 + c];
    }
  }
  return turned;
}

}  // namespace vlaserve
