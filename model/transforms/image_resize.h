// Pictures to the model's square: the two resize methods of policies (ResizeMethod) and the scaling
// to model pixels.
//
// Sources: spec pi0.md §2.2 with erratum 2; openpi `image_tools.resize_with_pad` (Pillow 9.5–12.1,
// Resample.c), LeRobot `resize_with_pad_torch` (torch `upsample_bilinear2d`).
//
// Both methods keep the aspect ratio: with r = max(width / size, height / size) the content is
// int(height / r) × int(width / r) pixels, centred on black (left and top bars are the smaller
// ones), computed in double as the references do.
//
// Thread-safety: pure functions. Errors are kInvalidArgument and name the sizes: a picture whose
// pixel count is not height × width × 3, sides outside 1..kMaxImageSide, a `size` outside
// 1..kMaxModelSide, and pictures so narrow that a side of the content would become 0.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/io/status.h"
#include "model/transforms/image.h"

namespace vlaserve {

inline constexpr int64_t kMaxModelSide = 4096;

// Whether ResizeWithPad and TorchResizeWithPad accept this picture and size.
Status CheckResizable(const RgbImage& image, int64_t size);

// size × size picture by Pillow's bilinear resize, bit by bit: an antialiased triangle filter with
// 22-bit fixed-point weights, horizontal pass first, rounded to 8 bits between the passes. A
// picture that is size × size already comes back unchanged.
Result<RgbImage> ResizeWithPad(const RgbImage& image, int64_t size);

// What the model sees of a picture in LeRobot: x / 255 in float32, torch's bilinear interpolation
// without antialias (align_corners=False; none if the picture is size × size already), clamped to
// [0, 1], black bars, 2x - 1. Returns [3, size, size] values in [-1, 1].
Result<std::vector<float>> TorchResizeWithPad(const RgbImage& image, int64_t size);

// openpi's scaling of a picture to model pixels: float32(x) / 255 * 2 - 1, each operation rounded
// to float32. Writes [3, height, width]. Precondition: chw.size() == image.pixels.size() ==
// 3 * height * width.
void ToModelPixels(const RgbImage& image, std::span<float> chw);

}  // namespace vlaserve
