#include <cmath>

#include "kernels/cpu/portable/target.h"
#include "kernels/transform.h"

namespace vlaserve {
namespace {

template <int64_t kHalf>
VLASERVE_INLINE_BODY void Butterflies(float* values, int64_t count) {
  for (int64_t begin = 0; begin < count; begin += 2 * kHalf) {
    float* const a = values + begin;
    float* const b = a + kHalf;
    for (int64_t j = 0; j < kHalf; ++j) {
      const float sum = a[j] + b[j];
      const float difference = a[j] - b[j];
      a[j] = sum;
      b[j] = difference;
    }
  }
}

VLASERVE_INLINE_BODY void HadamardBody(float* row, int64_t columns, int64_t block, float factor) {
  for (int64_t begin = 0; begin < columns; begin += block) {
    float* const values = row + begin;
    Butterflies<1>(values, block);
    if (block > 2) Butterflies<2>(values, block);
    if (block > 4) Butterflies<4>(values, block);
    for (int64_t half = 8; half < block; half *= 2) {
      for (int64_t start = 0; start < block; start += 2 * half) {
        // Eight at a time: as many floats as an AVX2 register holds.
        for (int64_t j = start; j < start + half; j += 8) {
          float* const a = values + j;
          float* const b = a + half;
          float sum[8];
          float difference[8];
          for (int i = 0; i < 8; ++i) sum[i] = a[i] + b[i];
          for (int i = 0; i < 8; ++i) difference[i] = a[i] - b[i];
          for (int i = 0; i < 8; ++i) a[i] = sum[i];
          for (int i = 0; i < 8; ++i) b[i] = difference[i];
        }
      }
    }
    for (int64_t j = 0; j < block; ++j) values[j] *= factor;
  }
}

void HadamardAnyCpu(float* row, int64_t columns, int64_t block, float factor) {
  HadamardBody(row, columns, block, factor);
}

VLASERVE_AVX2 void HadamardAvx2(float* row, int64_t columns, int64_t block, float factor) {
  HadamardBody(row, columns, block, factor);
}

}  // namespace

void HadamardRows(float* rows, int64_t row_count, int64_t columns, int64_t block) {
  if (block <= 1) return;
  const auto factor = static_cast<float>(1.0 / std::sqrt(static_cast<double>(block)));
  const auto transform = kernels::CpuHasAvx2() ? HadamardAvx2 : HadamardAnyCpu;
  for (int64_t r = 0; r < row_count; ++r) transform(rows + r * columns, columns, block, factor);
}

}  // namespace vlaserve
