// CpuKernels::quantize as a template over the vector type: contract in kernels/cpu/kernel_table.h.
//
// The rows of a block go through all steps while they lie in the cache.
#pragma once

#include <cstdint>

#include "kernels/activation_pass.h"
#include "kernels/cpu/activation_codes.h"
#include "kernels/cpu/activation_hadamard.h"
#include "kernels/cpu/activation_prepare.h"
#include "kernels/cpu/activation_rotate.h"
#include "kernels/cpu/activation_scratch.h"

namespace vlaserve::kernels {

namespace activation {

// Rows on their way: row r is row first + r of x.
struct Rows {
  int64_t first = 0;
  int64_t count = 0;
  const float* at[kActivationRows];   // where each lies now
  uint32_t largest[kActivationRows];  // bits of its largest magnitude, for one scale per token
  ActivationScratchRows scratch;
};

// Columns that a dense rotation takes at least, if they are whole blocks.
inline constexpr int64_t kStrip = 64;

// Functions without a vector type are always inlined: a copy of them in an object file of one
// instruction set could be taken for all.
#define VLASERVE_INLINE inline __attribute__((always_inline))

VLASERVE_INLINE const float* RowOfX(const ActivationPass& pass, int64_t m) {
  return static_cast<const float*>(pass.x) + m * pass.stride;
}

VLASERVE_INLINE void Permute(const float* from, const int32_t* permutation, int64_t columns,
                             float* to) {
  for (int64_t c = 0; c < columns; ++c) to[c] = from[permutation[c]];
}

VLASERVE_INLINE uint32_t KnownLargest(const ActivationPass& pass, int64_t m) {
  const uint32_t* const known = pass.largest + m * pass.largest_count;
  uint32_t largest = 0;
  for (int64_t i = 0; i < pass.largest_count; ++i) {
    if (known[i] > largest) largest = known[i];
  }
  return largest;
}

#undef VLASERVE_INLINE

// Everything but dense rotations, one row after the other.
template <class V>
inline void TransformEach(const ActivationPass& pass, const BlockedActivations& out, Rows& rows) {
  const int64_t columns = out.columns;
  const bool rotates = pass.block > 1;
  for (int64_t r = 0; r < rows.count; ++r) {
    const int64_t m = rows.first + r;
    float* const to = rows.scratch.transformed + r * rows.scratch.stride;
    const float* from = nullptr;
    typename V::Largest largest;
    if (NeedsPreparing(pass)) {
      float* const next = rotates || pass.permutation != nullptr ? rows.scratch.prepared : to;
      PrepareColumns<V>(pass, NormOfRow<V>(pass, columns, m), columns, m, 0, columns, next,
                        largest);
      from = next;
    } else {
      from = RowOfX(pass, m);
    }
    if (pass.permutation != nullptr) {
      Permute(from, pass.permutation, columns, to);
      from = to;
    }
    if (rotates) {
      largest = {};
      HadamardRow<V>(from, to, columns, pass.block, largest);
      from = to;
    }
    rows.at[r] = from;
    if (out.group > 0) continue;
    if (pass.largest != nullptr) {
      rows.largest[r] = KnownLargest(pass, m);
    } else if (rotates || NeedsPreparing(pass)) {
      rows.largest[r] = largest.OfAllLanes();
    } else {
      rows.largest[r] = LargestOf<V>(from, columns);
    }
  }
}

// Dense rotations: block after block, all rows of each. What is rotated goes through a small
// buffer, which the norm or the permutation fills.
template <class V>
inline void TransformTogether(const ActivationPass& pass, int64_t columns, Rows& rows) {
  static_assert(V::kRotatedRows <= kMostRotatedRows);
  const ActivationScratchRows& scratch = rows.scratch;
  typename V::Largest unused;
  typename V::Largest largest[kActivationRows];
  prepare::RowNorm norms[kActivationRows];
  for (int64_t r = 0; r < rows.count; ++r) {
    norms[r] = NormOfRow<V>(pass, columns, rows.first + r);
    if (pass.permutation == nullptr) continue;
    if (NeedsPreparing(pass)) {
      float* const to = scratch.prepared + r * scratch.stride;
      PrepareColumns<V>(pass, norms[r], columns, rows.first + r, 0, columns, to, unused);
      rows.at[r] = to;
    } else {
      rows.at[r] = RowOfX(pass, rows.first + r);
    }
  }
  const RowBlocks parts(rows.count, V::kRotatedRows);
  const int64_t strip = pass.block < kStrip ? kStrip / pass.block * pass.block : pass.block;
  for (int64_t begin = 0; begin < columns; begin += strip) {
    const int64_t size = columns - begin < strip ? columns - begin : strip;
    const int64_t stride = ActivationStride(size);
    for (int64_t part = 0; part < parts.count(); ++part) {
      const int64_t first = parts.begin(part);
      for (int64_t r = 0; r < parts.size(part); ++r) {
        float* const to = scratch.strip + r * stride;
        if (pass.permutation != nullptr) {
          Permute(rows.at[first + r], pass.permutation + begin, size, to);
        } else {
          PrepareColumns<V>(pass, norms[first + r], columns, rows.first + first + r, begin, size,
                            to, unused);
        }
      }
      const float* matrices = pass.rotations;
      if (!pass.shared_rotation) matrices += begin * pass.block;  // pass.block² for each block
      RotateBlocks<V>(parts.size(part), {scratch.strip, stride}, size, pass.block, matrices,
                      pass.shared_rotation,
                      {scratch.transformed + first * scratch.stride + begin, scratch.stride},
                      largest + first);
    }
  }
  for (int64_t r = 0; r < rows.count; ++r) {
    rows.at[r] = scratch.transformed + r * scratch.stride;
    rows.largest[r] = largest[r].OfAllLanes();
  }
}

}  // namespace activation

template <class V>
inline int64_t QuantizeRows(const ActivationPass& pass, const BlockedActivations& out,
                            int64_t block_begin, int64_t block_end, float* scratch) {
  const RowBlocks blocks = out.blocks();
  activation::Rows rows;
  rows.scratch = DivideActivationScratch(scratch, out.columns, out.max_rows);
  for (int64_t block = block_begin; block < block_end; ++block) {
    rows.first = blocks.begin(block);
    rows.count = blocks.size(block);
    if (pass.block > 1 && pass.rotations != nullptr) {
      activation::TransformTogether<V>(pass, out.columns, rows);
    } else {
      activation::TransformEach<V>(pass, out, rows);
    }
    const int64_t bad = WriteCodes<V>(out, block, rows.at, rows.largest);
    if (bad >= 0) return bad;
  }
  return -1;
}

}  // namespace vlaserve::kernels
