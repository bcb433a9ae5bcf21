// Transformed rows to scales, codes and sums: QuantizeActivations (kernels/quantize.h) with 8 bits,
// written in the layout of BlockedActivations.
#pragma once

#include <bit>
#include <cstdint>

#include "kernels/blocked_activations.h"
#include "kernels/cpu/vector_columns.h"
#include "kernels/panels.h"
#include "kernels/quantize.h"

namespace vlaserve::kernels {

inline constexpr uint32_t kInfinityBits = 0x7F800000u;

template <class V>
inline uint32_t LargestOf(const float* x, int64_t columns) {
  typename V::Largest largest;
  ForEachVector<V>(columns, [&](int64_t c, auto lanes) { largest.Add(lanes.Load(x + c)); });
  return largest.OfAllLanes();
}

namespace codes {

// The scale of a group and what its values are multiplied by.
struct GroupScale {
  float scale = 0;
  float inverse = 0;
};

template <class V>
inline GroupScale ScaleOf(uint32_t largest_bits) {
  constexpr float kSmallest = 0x1p-100f;  // below it 127 / a could overflow
  constexpr float kLargestCode = 127;
  const auto largest = std::bit_cast<float>(largest_bits);
  if (largest < kSmallest) return {};
  return {largest / kLargestCode, kLargestCode / largest};
}

// Up to four rows beside each other in one block.
template <class V>
struct Rows {
  const float* y[4];
  uint32_t largest[4];  // per token: known; else what was found, of all groups so far
  int64_t first = 0;    // its number in `out`
  int8_t* to = nullptr;
  int64_t quad_stride = 0;
};

// One step of one group.
template <class V, int kRows>
inline void WriteStep(const BlockedActivations& out, const Rows<V>& rows, const V* inverse,
                      int64_t begin, int64_t size) {
  typename V::Sums sums;
  ForEachVector<V>(size, [&](int64_t c, auto lanes) {
    V x[kRows];
    const int64_t column = begin + c;
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) x[r] = lanes.Load(rows.y[r] + column) * inverse[r];
    const bool whole = lanes.kWhole || PaddedDepth(out.columns) - column > V::kLanes / 2;
    StoreCodes<kRows>(x, rows.to + column / 4 * rows.quad_stride, rows.quad_stride, whole, sums);
  });
  int32_t of_rows[4];
  sums.Store(of_rows);
  const int64_t steps = (out.columns + out.step - 1) / out.step;
  for (int r = 0; r < kRows; ++r)
    out.sums[(rows.first + r) * steps + begin / out.step] = of_rows[r];
}

template <class V, int kRows>
inline void Write(const BlockedActivations& out, Rows<V>& rows) {
  const int64_t groups = GroupCount(out.columns, out.group);
  const int64_t width = groups == 1 ? out.columns : out.group;
  for (int64_t group = 0; group < groups; ++group) {
    const int64_t begin = group * width;
    const int64_t size = out.columns - begin < width ? out.columns - begin : width;
    V inverse[kRows];
    for (int r = 0; r < kRows; ++r) {
      uint32_t largest = rows.largest[r];
      if (out.group > 0) {
        largest = LargestOf<V>(rows.y[r] + begin, size);
        if (largest > rows.largest[r]) rows.largest[r] = largest;
      }
      const GroupScale scale = ScaleOf<V>(largest);
      out.scales[(rows.first + r) * groups + group] = scale.scale;
      inverse[r] = V::All(scale.inverse);
    }
    for (int64_t step = 0; step < size; step += out.step) {
      WriteStep<V, kRows>(out, rows, inverse, begin + step,
                          size - step < out.step ? size - step : out.step);
    }
  }
}

}  // namespace codes

// The rows of block `block` out of y[0], y[1] …; `largest`: per row, the bits of the largest
// magnitude; with groups it is computed here. Returns the first row of the block with one that is
// not finite, else -1.
template <class V>
inline int64_t WriteCodes(const BlockedActivations& out, int64_t block, const float* const* y,
                          const uint32_t* largest) {
  const RowBlocks blocks = out.blocks();
  const int64_t size = blocks.size(block);
  codes::Rows<V> rows;
  rows.quad_stride = 4 * size;
  for (int64_t r = 0; r < size; r += 4) {
    const int64_t count = size - r < 4 ? size - r : 4;
    rows.first = blocks.begin(block) + r;
    rows.to = out.codes + blocks.begin(block) * PaddedDepth(out.columns) + 4 * r;
    for (int64_t i = 0; i < count; ++i) {
      rows.y[i] = y[r + i];
      rows.largest[i] = out.group > 0 ? 0 : largest[r + i];
    }
    switch (count) {
      case 1:
        codes::Write<V, 1>(out, rows);
        break;
      case 2:
        codes::Write<V, 2>(out, rows);
        break;
      case 3:
        codes::Write<V, 3>(out, rows);
        break;
      default:
        codes::Write<V, 4>(out, rows);
    }
    for (int64_t i = 0; i < count; ++i) {
      if (rows.largest[i] >= kInfinityBits) return rows.first + i;
    }
  }
  return -1;
}

}  // namespace vlaserve::kernels
