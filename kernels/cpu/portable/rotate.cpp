#include <algorithm>
#include <vector>

#include "kernels/cpu/portable/target.h"
#include "kernels/transform.h"

namespace vlaserve {
namespace {

// out[j] = Σ factors[i] · rows[i * stride + j] for kWidth columns j, i ascending.
template <int64_t kWidth>
VLASERVE_INLINE_BODY void SumRows(const float* factors, int64_t count, const float* rows,
                                  int64_t stride, float* out) {
  float sums[kWidth] = {};
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t j = 0; j < kWidth; ++j) sums[j] += factors[i] * rows[i * stride + j];
  }
  std::copy_n(sums, kWidth, out);
}

VLASERVE_INLINE_BODY void SumRowsBody(const float* factors, int64_t count, const float* rows,
                                      int64_t width, float* out) {
  int64_t j = 0;
  for (; j + 32 <= width; j += 32) SumRows<32>(factors, count, rows + j, width, out + j);
  for (; j + 8 <= width; j += 8) SumRows<8>(factors, count, rows + j, width, out + j);
  for (; j < width; ++j) SumRows<1>(factors, count, rows + j, width, out + j);
}

void SumRowsAnyCpu(const float* factors, int64_t count, const float* rows, int64_t width,
                   float* out) {
  SumRowsBody(factors, count, rows, width, out);
}

VLASERVE_AVX2 void SumRowsAvx2(const float* factors, int64_t count, const float* rows,
                               int64_t width, float* out) {
  SumRowsBody(factors, count, rows, width, out);
}

}  // namespace

void RotateRows(const float* in, float* out, int64_t row_count, int64_t columns, int64_t block,
                std::span<const float> rotations, bool shared) {
  const auto sum_rows = kernels::CpuHasAvx2() ? SumRowsAvx2 : SumRowsAnyCpu;
  for (int64_t r = 0; r < row_count; ++r) {
    const float* rotation = rotations.data();
    for (int64_t begin = 0; begin < columns; begin += block) {
      const int64_t size = std::min(block, columns - begin);
      sum_rows(in + r * columns + begin, size, rotation, size, out + r * columns + begin);
      if (!shared) rotation += size * size;
    }
  }
}

void RotateRowBlocks(float* rows, int64_t row_count, int64_t columns, int64_t block,
                     std::span<const float> rotations) {
  const auto sum_rows = kernels::CpuHasAvx2() ? SumRowsAvx2 : SumRowsAnyCpu;
  constexpr int64_t kStrip = 256;  // columns at a time: a block of them stays in the cache
  std::vector<float> before(static_cast<size_t>(block * kStrip));
  const float* rotation = rotations.data();
  for (int64_t first = 0; first < row_count; first += block) {
    const int64_t size = std::min(block, row_count - first);
    for (int64_t begin = 0; begin < columns; begin += kStrip) {
      const int64_t width = std::min(kStrip, columns - begin);
      float* const strip = rows + first * columns + begin;
      for (int64_t i = 0; i < size; ++i) {
        std::copy_n(strip + i * columns, width, before.data() + i * width);
      }
      for (int64_t i = 0; i < size; ++i) {
        sum_rows(rotation + i * size, size, before.data(), width, strip + i * columns);
      }
    }
    rotation += size * size;
  }
}

}  // namespace vlaserve
