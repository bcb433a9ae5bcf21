#include "model/transforms/image_resize.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <string>

namespace vlaserve {
namespace {

constexpr size_t kChannels = 3;

// Where the resized content lies on the square canvas.
struct Placement {
  size_t height = 0;
  size_t width = 0;
  size_t top = 0;
  size_t left = 0;
};

Placement PlaceContent(uint32_t height, uint32_t width, int64_t size) {
  const double side = static_cast<double>(size);
  const double ratio = std::max(width / side, height / side);
  Placement place;
  place.height = static_cast<size_t>(height / ratio);
  place.width = static_cast<size_t>(width / ratio);
  place.top = (static_cast<size_t>(size) - place.height) / 2;
  place.left = (static_cast<size_t>(size) - place.width) / 2;
  return place;
}

std::string SizeText(uint32_t height, uint32_t width) {
  return "height " + std::to_string(height) + ", width " + std::to_string(width);
}

// The fixed-point triangle filter of one axis: output i is the sum of weights[i * taps + j] times
// input first[i] + j, j < count[i].
struct PillowAxis {
  size_t taps = 0;
  std::vector<size_t> first;
  std::vector<size_t> count;
  std::vector<int32_t> weights;
};

constexpr int kPrecisionBits = 22;
constexpr int32_t kHalf = 1 << (kPrecisionBits - 1);

PillowAxis MakePillowAxis(size_t in, size_t out) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double support = std::max(scale, 1.0);
  const double inverse_support = 1.0 / support;

  PillowAxis axis;
  axis.taps = static_cast<size_t>(std::ceil(support)) * 2 + 1;
  axis.first.resize(out);
  axis.count.resize(out);
  axis.weights.resize(out * axis.taps);
  std::vector<double> exact(axis.taps);
  for (size_t i = 0; i < out; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const size_t first = static_cast<size_t>(std::max(0.0, center - support + 0.5));
    const size_t last = std::min(in, static_cast<size_t>(center + support + 0.5));
    double sum = 0.0;
    for (size_t j = first; j < last; ++j) {
      const double distance = (static_cast<double>(j) - center + 0.5) * inverse_support;
      exact[j - first] = std::max(0.0, 1.0 - std::abs(distance));
      sum += exact[j - first];
    }
    axis.first[i] = first;
    axis.count[i] = last - first;
    for (size_t j = 0; j < last - first; ++j) {
      axis.weights[i * axis.taps + j] =
          static_cast<int32_t>(exact[j] / sum * (1 << kPrecisionBits) + 0.5);
    }
  }
  return axis;
}

uint8_t ToByte(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> kPrecisionBits, int32_t{0}, int32_t{255}));
}

std::vector<uint8_t> ResizeRows(const std::vector<uint8_t>& in, size_t height, size_t in_width,
                                size_t out_width) {
  const PillowAxis axis = MakePillowAxis(in_width, out_width);
  std::vector<uint8_t> out(height * out_width * kChannels);
  for (size_t y = 0; y < height; ++y) {
    const uint8_t* row = in.data() + y * in_width * kChannels;
    uint8_t* target = out.data() + y * out_width * kChannels;
    for (size_t x = 0; x < out_width; ++x) {
      const uint8_t* pixel = row + axis.first[x] * kChannels;
      const int32_t* weight = axis.weights.data() + x * axis.taps;
      int32_t red = kHalf;
      int32_t green = kHalf;
      int32_t blue = kHalf;
      for (size_t j = 0; j < axis.count[x]; ++j, pixel += kChannels) {
        red += pixel[0] * weight[j];
        green += pixel[1] * weight[j];
        blue += pixel[2] * weight[j];
      }
      *target++ = ToByte(red);
      *target++ = ToByte(green);
      *target++ = ToByte(blue);
    }
  }
  return out;
}

std::vector<uint8_t> ResizeColumns(const std::vector<uint8_t>& in, size_t width, size_t in_height,
                                   size_t out_height) {
  const PillowAxis axis = MakePillowAxis(in_height, out_height);
  const size_t row_bytes = width * kChannels;
  std::vector<uint8_t> out(out_height * row_bytes);
  std::vector<int32_t> sums(row_bytes);
  for (size_t y = 0; y < out_height; ++y) {
    std::fill(sums.begin(), sums.end(), kHalf);
    for (size_t j = 0; j < axis.count[y]; ++j) {
      const uint8_t* row = in.data() + (axis.first[y] + j) * row_bytes;
      const int32_t weight = axis.weights[y * axis.taps + j];
      for (size_t i = 0; i < row_bytes; ++i) sums[i] += row[i] * weight;
    }
    std::transform(sums.begin(), sums.end(), out.begin() + static_cast<ptrdiff_t>(y * row_bytes),
                   ToByte);
  }
  return out;
}

// a * b + c rounded once, as torch's kernels compute it on every machine with fused instructions.
// (The product is exact in double; the second rounding to float hardly ever matters.)
float MultiplyAdd(float a, float b, float c) {
  return static_cast<float>(static_cast<double>(a) * b + c);
}

// Linear interpolation of one axis as in torch's upsample_bilinear2d with align_corners=False:
// output i lies between inputs low[i] and high[i], with weight high_weight[i] on the latter.
struct TorchAxis {
  std::vector<size_t> low;
  std::vector<size_t> high;
  std::vector<float> high_weight;
};

TorchAxis MakeTorchAxis(size_t in, size_t out) {
  const float scale = static_cast<float>(in) / static_cast<float>(out);
  TorchAxis axis;
  axis.low.resize(out);
  axis.high.resize(out);
  axis.high_weight.resize(out);
  for (size_t i = 0; i < out; ++i) {
    const float source = std::max(0.0f, MultiplyAdd(scale, static_cast<float>(i) + 0.5f, -0.5f));
    const size_t low = std::min(static_cast<size_t>(source), in - 1);
    axis.low[i] = low;
    axis.high[i] = std::min(low + 1, in - 1);
    axis.high_weight[i] = std::clamp(source - static_cast<float>(low), 0.0f, 1.0f);
  }
  return axis;
}

constexpr std::array<float, 256> MakeUnitTable() {
  std::array<float, 256> table{};
  for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<float>(i) / 255.0f;
  return table;
}

// Every byte divided by 255.
constexpr std::array<float, 256> kUnit = MakeUnitTable();

float ToModelRange(float unit) { return unit * 2.0f - 1.0f; }

}  // namespace

Status CheckResizable(const RgbImage& image, int64_t size) {
  if (size < 1 || size > kMaxModelSide) {
    return Status(StatusCode::kInvalidArgument, "model picture size " + std::to_string(size) +
                                                    " is outside 1 to " +
                                                    std::to_string(kMaxModelSide));
  }
  VLASERVE_RETURN_IF_ERROR(CheckPictureSize(image.height, image.width));
  const size_t expected = size_t{image.height} * image.width * kChannels;
  if (image.pixels.size() != expected) {
    return Status(StatusCode::kInvalidArgument,
                  "picture of " + SizeText(image.height, image.width) + " has " +
                      std::to_string(image.pixels.size()) + " bytes, expected " +
                      std::to_string(expected) + " (height * width * 3)");
  }
  const Placement place = PlaceContent(image.height, image.width, size);
  if (place.height == 0 || place.width == 0) {
    return Status(StatusCode::kInvalidArgument,
                  "picture of " + SizeText(image.height, image.width) +
                      " is too narrow: its shorter side would become 0 when it is scaled to " +
                      std::to_string(size) + " pixels");
  }
  return Status::Ok();
}

Result<RgbImage> ResizeWithPad(const RgbImage& image, int64_t size) {
  VLASERVE_RETURN_IF_ERROR(CheckResizable(image, size));
  const size_t side = static_cast<size_t>(size);
  if (image.height == side && image.width == side) return image;

  const Placement place = PlaceContent(image.height, image.width, size);
  std::vector<uint8_t> content;
  const std::vector<uint8_t>* source = &image.pixels;
  if (place.width != image.width) {
    content = ResizeRows(*source, image.height, image.width, place.width);
    source = &content;
  }
  if (place.height != image.height) {
    content = ResizeColumns(*source, place.width, image.height, place.height);
    source = &content;
  }

  RgbImage result;
  result.height = static_cast<uint32_t>(size);
  result.width = static_cast<uint32_t>(size);
  if (place.height == side && place.width == side) {
    result.pixels = std::move(content);
    return result;
  }
  result.pixels.assign(side * side * kChannels, 0);
  for (size_t y = 0; y < place.height; ++y) {
    const auto row = source->begin() + static_cast<ptrdiff_t>(y * place.width * kChannels);
    std::copy_n(row, place.width * kChannels,
                result.pixels.begin() +
                    static_cast<ptrdiff_t>(((place.top + y) * side + place.left) * kChannels));
  }
  return result;
}

Result<std::vector<float>> TorchResizeWithPad(const RgbImage& image, int64_t size) {
  VLASERVE_RETURN_IF_ERROR(CheckResizable(image, size));
  const size_t side = static_cast<size_t>(size);
  std::vector<float> result(side * side * kChannels, ToModelRange(0.0f));
  const Placement place = PlaceContent(image.height, image.width, size);
  const TorchAxis rows = MakeTorchAxis(image.height, place.height);
  const TorchAxis columns = MakeTorchAxis(image.width, place.width);
  const size_t row_bytes = image.width * kChannels;
  for (size_t y = 0; y < place.height; ++y) {
    const uint8_t* upper = image.pixels.data() + rows.low[y] * row_bytes;
    const uint8_t* lower = image.pixels.data() + rows.high[y] * row_bytes;
    const float lower_weight = rows.high_weight[y];
    const float upper_weight = 1.0f - lower_weight;
    for (size_t x = 0; x < place.width; ++x) {
      const size_t left = columns.low[x] * kChannels;
      const size_t right = columns.high[x] * kChannels;
      const float right_weight = columns.high_weight[x];
      const float left_weight = 1.0f - right_weight;
      for (size_t channel = 0; channel < kChannels; ++channel) {
        const float above = MultiplyAdd(kUnit[upper[left + channel]], left_weight,
                                        kUnit[upper[right + channel]] * right_weight);
        const float below = MultiplyAdd(kUnit[lower[left + channel]], left_weight,
                                        kUnit[lower[right + channel]] * right_weight);
        const float value =
            std::clamp(MultiplyAdd(above, upper_weight, below * lower_weight), 0.0f, 1.0f);
        result[(channel * side + place.top + y) * side + place.left + x] = ToModelRange(value);
      }
    }
  }
  return result;
}

void ToModelPixels(const RgbImage& image, std::span<float> chw) {
  const size_t plane = size_t{image.height} * image.width;
  assert(image.pixels.size() == plane * kChannels && chw.size() == plane * kChannels);
  std::array<float, 256> table{};
  for (size_t i = 0; i < table.size(); ++i) table[i] = ToModelRange(kUnit[i]);
  for (size_t i = 0; i < plane; ++i) {
    for (size_t channel = 0; channel < kChannels; ++channel) {
      chw[channel * plane + i] = table[image.pixels[i * kChannels + channel]];
    }
  }
}

}  // namespace vlaserve
