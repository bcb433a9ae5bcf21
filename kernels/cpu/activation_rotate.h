// Dense block rotations of a few rows, bit for bit RotateRows (kernels/transform.h): every product
// and every sum is rounded, sums ascend over the rows of the matrix.
#pragma once

#include <cstdint>

namespace vlaserve::kernels {

// Rows of floats, `stride` apart.
template <class Float>
struct FloatRows {
  Float* first = nullptr;
  int64_t stride = 0;
};

namespace rotate {

// `count` ≤ 16 columns of a block. `matrix` begins at the first of them, its rows are `size` apart.
template <int kRows, bool kWhole, class V>
inline void Strip(FloatRows<const float> from, int64_t size, const float* matrix, int64_t count,
                  FloatRows<float> to, typename V::Largest* largest) {
  V sums[kRows];
  const float* x[kRows];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    sums[r] = V::All(0);
    x[r] = from.first + r * from.stride;
  }
#pragma GCC unroll 2
  for (int64_t i = 0; i < size; ++i) {
    // One load for all rows.
    const V weights = kWhole ? V::Load(matrix + i * size) : V::LoadFirst(matrix + i * size, count);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) sums[r] = sums[r] + V::All(x[r][i]) * weights;
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    largest[r].Add(sums[r]);
    if constexpr (kWhole) {
      sums[r].Store(to.first + r * to.stride);
    } else {
      sums[r].StoreFirst(to.first + r * to.stride, count);
    }
  }
}

template <int kRows, class V>
inline void Block(int64_t row_count, FloatRows<const float> from, int64_t size, const float* matrix,
                  FloatRows<float> to, typename V::Largest* largest) {
  if constexpr (kRows > 1) {
    if (row_count < kRows) {
      return Block<kRows - 1, V>(row_count, from, size, matrix, to, largest);
    }
  }
  int64_t c = 0;
  for (; c + V::kLanes <= size; c += V::kLanes) {
    Strip<kRows, true, V>(from, size, matrix + c, V::kLanes, {to.first + c, to.stride}, largest);
  }
  if (c < size) {
    Strip<kRows, false, V>(from, size, matrix + c, size - c, {to.first + c, to.stride}, largest);
  }
}

}  // namespace rotate

// Blocks of 1 … V::kRotatedRows rows. `matrices`: of the first of these blocks, then one per block
// or one for all if `shared`; the last block may be shorter. `largest`: one per row. No overlap.
template <class V>
inline void RotateBlocks(int64_t row_count, FloatRows<const float> from, int64_t columns,
                         int64_t block, const float* matrices, bool shared, FloatRows<float> to,
                         typename V::Largest* largest) {
  for (int64_t c = 0; c < columns; c += block) {
    const int64_t size = columns - c < block ? columns - c : block;
    rotate::Block<V::kRotatedRows, V>(row_count, {from.first + c, from.stride}, size,
                                      shared ? matrices : matrices + c * block,
                                      {to.first + c, to.stride}, largest);
  }
}

}  // namespace vlaserve::kernels
