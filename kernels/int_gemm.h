// y = x Wᵀ on integer codes with what belongs behind it: scales, bias, residual.
//
// Same formulas, in the same order of float operations, as IntLinear (kernels/int_linear.h), so
// every instruction set gives its bits: accumulators per step, groups ascending, one fma per step,
// then the table's last column. With a residual r and a gate g (adaRMS' gated branches) follows one
// more fma:
//   r alone: y = r + y     r and g: y = fma(y, g, r)
// and last one rounding to the output's type (bfloat16: half to even; NaN stays NaN).
//
// Thread-safety: the functions of a CpuKernels (cpu/kernel_table.h) that take these are pure; calls
// for disjoint panels or disjoint row blocks may run at the same time.
#pragma once

#include <cstdint>

#include "kernels/blocked_activations.h"
#include "kernels/panels.h"

namespace vlaserve::kernels {

enum class ElementType { kFloat32, kBFloat16 };

// Where a GEMM writes: element (m, n) at data[m * stride + n], n < out_features. Nothing beyond.
struct GemmOutput {
  void* data = nullptr;
  ElementType type = ElementType::kFloat32;
  int64_t stride = 0;           // elements
  const float* bias = nullptr;  // [N] or null
  // Of `type` too; null: none. data == residual is allowed (same stride): added in place.
  const void* residual = nullptr;
  int64_t residual_stride = 0;
  // Of `type`, [rows / rows_per_gate, N], contiguous; null: none. Only with a residual.
  const void* gate = nullptr;
  int64_t rows_per_gate = 1;
};

// x.step must be StepColumns(weights, x.group, …): the sums are then those that the steps need.
struct IntGemm {
  BlockedActivations x;
  PanelWeights weights;
  GemmOutput out;
};

// Columns per step for a layer: min of both groups; `columns` if that is one step.
int64_t StepColumns(int64_t columns, int64_t weight_group, int64_t activation_group);

// One gated MLP's hidden row, GELU(x Wgᵀ + bg) · (x Wuᵀ + bu), with the transforms of the linear
// that follows (the down projection), as far as they stay within one tile. A tile is
// GatedTileColumns(block) features. GELU is the tanh form:
//   u = 2 sqrt(2/π) (g + 0.044715 g³);  gelu = g / (1 + exp(-u))
// (NaN for g = -Inf, so that it cannot vanish) in float32 operations that are the same on every
// instruction set (kernels/cpu/gelu.h has them). Then inverse_smooth, then the rotation: operations
// as in kernels/transform.h.
struct GatedHidden {
  BlockedActivations x;
  PanelWeights gate;  // [F, K], and up the same F, K and step
  PanelWeights up;
  const float* gate_bias = nullptr;
  const float* up_bias = nullptr;
  // Transforms of the hidden row, [F].
  const float* inverse_smooth = nullptr;
  int64_t block = 1;  // columns per rotation, 1: none; FitsGatedTile; a power of two
                      // for Hadamard
  const float* rotations =
      nullptr;                   // null: Hadamard; else dense, one [block, block] per block (the
  bool shared_rotation = false;  // last may be smaller), or one for all
  // Results: row-major [rows, F], and per row and tile the largest |h| as bits & 0x7FFFFFFF
  // (≥ 0x7F800000 where there is a NaN or Inf), [rows, ceil(F / tile)].
  float* hidden = nullptr;
  uint32_t* largest = nullptr;
};

// Whether a tile holds whole blocks of this many columns; GatedHidden::block must be such a one.
constexpr bool FitsGatedTile(int64_t block) {
  return block >= 1 && block <= 256 && (kPanelColumns % block == 0 || block % kPanelColumns == 0);
}

constexpr int64_t GatedTileColumns(int64_t block) {
  return block <= kPanelColumns ? kPanelColumns
                                : (block + kPanelColumns - 1) / kPanelColumns * kPanelColumns;
}

}  // namespace vlaserve::kernels
