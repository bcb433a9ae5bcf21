// One tile of a GEMM: a row block times a panel.
#pragma once

#include <cstdint>

#include <immintrin.h>

#include "kernels/cpu/avx512_vnni/dot.h"
#include "kernels/cpu/gemm_steps.h"
#include "kernels/int_gemm.h"

namespace vlaserve::kernels::avx512_vnni {

// The lanes of a register with output features that exist, when `left` of them are left.
VLASERVE_ALWAYS_INLINE __mmask16 FeatureMask(int64_t left) {
  if (left >= kHalf) return 0xFFFF;
  return left <= 0 ? __mmask16{0} : static_cast<__mmask16>((1u << left) - 1);
}

// The rows of block `block` of x times the panel: float32 results up to and with the bias (null:
// none), row r at tile + r * stride (64-byte aligned), kPanelColumns of them; those beyond N are
// undefined. `bias`: that of the whole layer.
void ComputeTile(const BlockedActivations& x, const PanelWeights& weights, const GemmSteps& steps,
                 const float* bias, int64_t block, int64_t panel, float* tile, int64_t stride);

}  // namespace vlaserve::kernels::avx512_vnni
