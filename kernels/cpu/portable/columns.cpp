#include "kernels/transform.h"

namespace vlaserve {

void PermuteColumns(const float* in, float* out, int64_t row_count, int64_t columns,
                    std::span<const int32_t> permutation) {
  for (int64_t r = 0; r < row_count; ++r) {
    const float* const from = in + r * columns;
    float* const to = out + r * columns;
    for (int64_t c = 0; c < columns; ++c) to[c] = from[permutation[static_cast<size_t>(c)]];
  }
}

void ScaleColumns(float* rows, int64_t row_count, int64_t columns, std::span<const float> factors) {
  for (int64_t r = 0; r < row_count; ++r) {
    float* const row = rows + r * columns;
    for (int64_t c = 0; c < columns; ++c) row[c] *= factors[static_cast<size_t>(c)];
  }
}

}  // namespace vlaserve
