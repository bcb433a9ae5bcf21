// One tile of a GEMM in plain C++: a row block times a panel.
#pragma once

#include <cstdint>

#include "kernels/cpu/gemm_steps.h"
#include "kernels/int_gemm.h"

namespace vlaserve::kernels::portable {

// The rows of block `block` of x times the panel: float32 results up to and with the bias (null:
// none), row r at tile + r * stride, kPanelColumns of them; those beyond N are 0.
// `bias`: that of the whole layer.
void ComputeTile(const BlockedActivations& x, const PanelWeights& weights, const GemmSteps& steps,
                 const float* bias, int64_t block, int64_t panel, float* tile, int64_t stride);

}  // namespace vlaserve::kernels::portable
