// The FMA kernel of attention: a tile of outputs in registers, c = f · c + a b.
//
// V: the vector operations of one instruction set (attention_vector_*.h). Everything here carries
// that type, so no two instruction sets share a symbol.
#pragma once

#include <cstdint>

namespace vlaserve::kernels {

// a: rows `a_stride` apart, `depth` floats each. b: `depth` rows of V::kPanel floats. c: rows
// `c_stride` apart. factor: per row, or null: c is written without being read.
struct AttentionTileArgs {
  const float* a = nullptr;
  int64_t a_stride = 0;
  const float* b = nullptr;
  int64_t depth = 0;
  float* c = nullptr;
  int64_t c_stride = 0;
  const float* factor = nullptr;
};

template <typename V, int kRows, int kVectors>
void AttentionTile(const AttentionTileArgs& args) {
  using Vec = typename V::Vec;
  Vec sums[kRows][kVectors];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sums[r][v] = V::Zero();
  }
  const float* a = args.a;
  const float* b = args.b;
  const int64_t stride = args.a_stride;
  for (int64_t k = 0; k < args.depth; ++k) {
    Vec columns[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) columns[v] = V::Load(b + v * V::kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const Vec row = V::Broadcast(a[r * stride]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[r][v] = V::Fma(row, columns[v], sums[r][v]);
    }
    ++a;
    b += V::kPanel;
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    float* c = args.c + r * args.c_stride;
    if (args.factor != nullptr) {
      const Vec factor = V::Broadcast(args.factor[r]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        sums[r][v] = V::Fma(factor, V::Load(c + v * V::kLanes), sums[r][v]);
      }
    }
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) V::Store(c + v * V::kLanes, sums[r][v]);
  }
}

// AttentionTile for a number of rows that is known at run time: 1 ... kRows.
template <typename V, int kRows, int kVectors>
void AttentionTileOf(int64_t rows, const AttentionTileArgs& args) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return AttentionTileOf<V, kRows - 1, kVectors>(rows, args);
  }
  AttentionTile<V, kRows, kVectors>(args);
}

// All rows of a block against one panel; `columns` of it count, the rest of the vectors' lanes is
// computed and stored too.
template <typename V, int kVectors = V::kVectors>
void AttentionPanel(int64_t rows, int64_t columns, AttentionTileArgs args) {
  if constexpr (kVectors > 1) {
    if (columns <= (kVectors - 1) * V::kLanes) {
      return AttentionPanel<V, kVectors - 1>(rows, columns, args);
    }
  }
  for (int64_t row = 0; row < rows; row += V::kRows) {
    const int64_t left = rows - row;
    AttentionTileOf<V, V::kRows, kVectors>(left < V::kRows ? left : V::kRows, args);
    args.a += V::kRows * args.a_stride;
    args.c += V::kRows * args.c_stride;
    if (args.factor != nullptr) args.factor += V::kRows;
  }
}

}  // namespace vlaserve::kernels
