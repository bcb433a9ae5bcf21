#include "quant/engine/quantile.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace vlaserve {
namespace {

// Columns that are gathered together: one cache line of each row.
constexpr int64_t kColumnTile = 16;

// Reorders `values`.
float Quantile(float* values, int64_t count, float rank) {
  if (std::any_of(values, values + count, [](float value) { return std::isnan(value); })) {
    return std::numeric_limits<float>::quiet_NaN();
  }
  const float floor = std::floor(rank);
  const auto low = static_cast<int64_t>(floor);
  const auto high = std::min(static_cast<int64_t>(std::ceil(rank)), count - 1);
  std::nth_element(values, values + low, values + count);
  const float a = values[low];
  const float b = high == low ? a : *std::min_element(values + low + 1, values + count);
  const float weight = rank - floor;
  const float difference = b - a;
  return weight < 0.5F ? std::fma(weight, difference, a) : std::fma(-difference, 1 - weight, b);
}

}  // namespace

std::vector<float> ColumnQuantiles(const float* x, int64_t rows, int64_t columns,
                                   double percentile) {
  const float rank = static_cast<float>(percentile / 100) * static_cast<float>(rows - 1);
  std::vector<float> result(static_cast<size_t>(columns));
  std::vector<float> tile(static_cast<size_t>(rows * kColumnTile));
  for (int64_t first = 0; first < columns; first += kColumnTile) {
    const int64_t count = std::min(kColumnTile, columns - first);
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t c = 0; c < count; ++c) {
        tile[static_cast<size_t>(c * rows + row)] = x[row * columns + first + c];
      }
    }
    for (int64_t c = 0; c < count; ++c) {
      result[static_cast<size_t>(first + c)] = Quantile(tile.data() + c * rows, rows, rank);
    }
  }
  return result;
}

}  // namespace vlaserve
