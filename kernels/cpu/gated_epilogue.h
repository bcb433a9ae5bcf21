// The elementwise half of a gated MLP, on one tile of the gate's and up's outputs while it lies in
// the cache: GELU(gate) · up, smoothing, rotation, largest value. Formulas: GatedHidden
// (kernels/int_gemm.h), gelu.h.
#pragma once

#include <cstdint>

#include "kernels/cpu/activation_hadamard.h"
#include "kernels/cpu/activation_rotate.h"
#include "kernels/cpu/gelu.h"
#include "kernels/cpu/vector_columns.h"
#include "kernels/int_gemm.h"

namespace vlaserve::kernels {

namespace gated {

// GELU(gate) · up · inverse_smooth over `gate`.
template <class V>
inline void Multiply(const float* inverse_smooth, int64_t width, float* gate, const float* up) {
  ForEachVector<V>(width, [&](int64_t c, auto lanes) {
    V h = Gelu(lanes.Load(gate + c)) * lanes.Load(up + c);
    if (inverse_smooth != nullptr) h = h * lanes.Load(inverse_smooth + c);
    lanes.Store(h, gate + c);
  });
}

template <class V>
inline void Copy(const float* from, float* to, int64_t width, typename V::Largest& largest) {
  ForEachVector<V>(width, [&](int64_t c, auto lanes) {
    const V h = lanes.Load(from + c);
    largest.Add(h);
    lanes.Store(h, to + c);
  });
}

}  // namespace gated

// Rows [row_begin, row_begin + row_count) of tile `tile`. Row r of it lies at gate + r * stride and
// up + r * stride, biases added: GatedTileColumns(block) floats each, also where fewer features are
// left (the rest is ignored). `gate` is overwritten. Writes the tile's columns below F of
// problem.hidden and one value per row of problem.largest.
// Precondition: the tile holds whole blocks (GatedTileColumns(block) % block == 0).
template <class V>
inline void FinishGatedTile(const GatedHidden& problem, int64_t tile, int64_t row_begin,
                            int64_t row_count, float* gate, const float* up, int64_t stride) {
  const int64_t features = problem.gate.out_features;
  const int64_t tile_columns = GatedTileColumns(problem.block);
  const int64_t tiles = (features + tile_columns - 1) / tile_columns;
  const int64_t first = tile * tile_columns;
  const int64_t width = features - first < tile_columns ? features - first : tile_columns;
  const float* const smooth =
      problem.inverse_smooth == nullptr ? nullptr : problem.inverse_smooth + first;
  float* const hidden = problem.hidden + row_begin * features + first;
  uint32_t* const largest = problem.largest + row_begin * tiles + tile;

  const float* matrices = problem.rotations;
  if (matrices != nullptr && !problem.shared_rotation) {
    matrices += first * problem.block;  // first / block matrices of block * block
  }

  constexpr int64_t kMost = V::kRotatedRows;
  for (int64_t begin = 0; begin < row_count; begin += kMost) {
    const int64_t rows = row_count - begin < kMost ? row_count - begin : kMost;
    float* const from = gate + begin * stride;
    float* const to = hidden + begin * features;
    typename V::Largest bits[kMost];
    for (int64_t r = 0; r < rows; ++r) {
      float* const h = from + r * stride;
      gated::Multiply<V>(smooth, width, h, up + (begin + r) * stride);
      if (problem.block == 1) {
        gated::Copy<V>(h, to + r * features, width, bits[r]);
      } else if (problem.rotations == nullptr) {
        HadamardRow<V>(h, to + r * features, width, problem.block, bits[r]);
      }
    }
    if (problem.block > 1 && problem.rotations != nullptr) {
      RotateBlocks<V>(rows, {from, stride}, width, problem.block, matrices, problem.shared_rotation,
                      {to, features}, bits);
    }
    for (int64_t r = 0; r < rows; ++r) largest[(begin + r) * tiles] = bits[r].OfAllLanes();
  }
}

}  // namespace vlaserve::kernels
