#include "quant/calibration/recorder.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "model/transforms/noise.h"

namespace vlaserve {
namespace {

// Sets these random numbers apart from others of the same seed.
constexpr uint32_t kStream = 0x43414C49;  // "CALI"

// A number in [0, bound), from 64 random bits; the bias is below bound / 2^64.
int64_t UniformBelow(int64_t bound, int64_t row, int64_t step, uint64_t seed) {
  const auto bits = Philox4x32({static_cast<uint32_t>(row), static_cast<uint32_t>(row >> 32),
                                static_cast<uint32_t>(step), kStream},
                               {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  // The upper half of the 128-bit product.
  const uint64_t low = uint64_t{bits[0]} * static_cast<uint64_t>(bound);
  const uint64_t high = uint64_t{bits[1]} * static_cast<uint64_t>(bound);
  return static_cast<int64_t>((high + (low >> 32)) >> 32);
}

}  // namespace

LayerRecorder::LayerRecorder(int64_t columns, int64_t max_rows, int64_t seed)
    : max_rows_(max_rows), seed_(static_cast<uint64_t>(seed)) {
  assert(columns >= 1 && max_rows >= 0 && seed >= 0);
  layer_.columns = columns;
  layer_.abs_max.resize(static_cast<size_t>(columns));
}

std::optional<int64_t> LayerRecorder::Place(int64_t row, int64_t step) const {
  if (row < max_rows_) return row;
  // Vitter's algorithm R: each of the row + 1 rows so far stays with probability max_rows / (row +
  // 1).
  const int64_t place = UniformBelow(row + 1, row, step, seed_);
  if (place >= max_rows_) return std::nullopt;
  return place;
}

std::optional<int64_t> LayerRecorder::Record(std::span<const float> rows, int64_t step) {
  assert(step >= 0);
  const auto columns = static_cast<size_t>(layer_.columns);
  const auto bad =
      std::find_if(rows.begin(), rows.end(), [](float value) { return !std::isfinite(value); });
  if (bad != rows.end()) return (bad - rows.begin()) / layer_.columns;

  const auto index = static_cast<size_t>(step);
  if (layer_.samples.size() <= index) {
    layer_.samples.resize(index + 1);
    seen_.resize(index + 1);
  }
  std::vector<float>& samples = layer_.samples[index];
  for (size_t begin = 0; begin + columns <= rows.size(); begin += columns) {
    const std::span<const float> row = rows.subspan(begin, columns);
    for (size_t c = 0; c < columns; ++c) {
      layer_.abs_max[c] = std::max(layer_.abs_max[c], std::abs(row[c]));
    }
    if (const auto place = Place(seen_[index], step)) {
      const size_t offset = static_cast<size_t>(*place) * columns;
      samples.resize(std::max(samples.size(), offset + columns));
      std::copy(row.begin(), row.end(), samples.begin() + static_cast<std::ptrdiff_t>(offset));
    }
    ++seen_[index];
    ++layer_.tokens;
  }
  return std::nullopt;
}

}  // namespace vlaserve
