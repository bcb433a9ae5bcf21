// One tile of the AVX2 GEMM: a row block times a panel.
#pragma once

#include <cstdint>

#include "kernels/cpu/gemm_steps.h"
#include "kernels/int_gemm.h"

namespace vlaserve::kernels::avx2 {

// The rows of block `block` of x times the panel: float32 results up to and with the bias (null:
// none), row r at tile + r * stride, kPanelColumns of them. Those beyond N are of no meaning.
// `bias`: that of the whole layer. `tile` is aligned to 32 bytes, stride a multiple of 8.
void ComputeTile(const BlockedActivations& x, const PanelWeights& weights, const GemmSteps& steps,
                 const float* bias, int64_t block, int64_t panel, float* tile, int64_t stride);

}  // namespace vlaserve::kernels::avx2
