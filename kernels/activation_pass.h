// Rows of activations to blocked integer codes in one pass: norm, smoothing, permutation, rotation,
// scale, codes, sums. q, k, v (and gate, up) share one.
//
// Transforms and quantization are bit for bit those of kernels/transform.h and QuantizeActivations
// (kernels/quantize.h) with 8 bits, on every instruction set. Norms are computed in float32:
//   sums over a row: 16 partial sums, lane i takes columns c ≡ i (mod 16) in ascending order
//   (squares by fma), then halves are added: lane i + lane i + 8, + 4, + 2, + 1 kRms:   r = 1 /
//   sqrt(Σ x² / K + eps);              y = (x · r) · factor (+ shift) kLayer: d = x - Σ x / K;  r =
//   1 / sqrt(Σ d² / K + eps);  y = (d · r) · factor (+ shift)
// each operation rounded on its own. The result is not rounded to x's type in between.
//
// Thread-safety: as in int_gemm.h.
#pragma once

#include <cstdint>

#include "kernels/blocked_activations.h"
#include "kernels/int_gemm.h"

namespace vlaserve::kernels {

enum class NormKind { kNone, kRms, kLayer };

struct ActivationPass {
  const void* x = nullptr;  // [rows, K] of `type`, row m at m * stride
  ElementType type = ElementType::kFloat32;
  int64_t stride = 0;  // elements

  NormKind norm = NormKind::kNone;
  float eps = 0;
  const float* factor = nullptr;  // [rows / rows_per_factor, K] (RMSNorm: 1 + weight); null: 1
  const float* shift = nullptr;   // the same shape, or null
  int64_t rows_per_factor = 1;

  const float* inverse_smooth = nullptr;  // [K] or null
  const int32_t* permutation = nullptr;   // [K] or null
  int64_t block = 1;                      // columns per rotation; 1: none
  const float* rotations = nullptr;       // null: Hadamard; else dense as in RotateRows
  bool shared_rotation = false;

  // Largest |y| per row, as bits (GatedHidden::largest, `largest_count` values per row): known
  // already; null: computed here. Only for one scale per token.
  const uint32_t* largest = nullptr;
  int64_t largest_count = 0;
};

// Floats of scratch that one call needs.
int64_t ActivationScratch(int64_t columns, int64_t max_rows);

}  // namespace vlaserve::kernels
