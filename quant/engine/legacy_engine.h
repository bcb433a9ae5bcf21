// The engine `legacy_exact`: openpi_duquant's fake quantization, operation by operation. Includes
// LibTorch.
//
// Formulas: README of the quantizer's golden data, §2.4 and §2.5. Every elementary operation is
// rounded to x's dtype; matrix products are exact products, a float32 sum and one rounding.
#pragma once

#include <memory>

#include "model/io/status.h"
#include "quant/engine/engine_inputs.h"
#include "quant/engine/linear_engine.h"

namespace vlaserve {

// y = Q(x_t) · W_dequantizedᵀ, then
//   restore:   every block of y · R_out, then + bias;
//   propagate: + R_out · bias per block, never restored;
//   else:      + bias.
//
// Scales of activations by mode: static_tensor, static_channel and step_channel from
// `inputs.calibration` (static_scales.h), or, under compat bug first_batch_calib (static_tensor,
// static_channel), from the first x that is seen; dynamic_tensor: max|x_t| / qmax of the call, at
// least 1e-6. step_channel takes the row of EngineObserver::denoise_step; a layer that was recorded
// once has one row for all steps.
//
// The weight is dequantized at the first call and kept (the reference's weight_prequant), or at
// every call if `inputs.precache_weights` is off (weight_fallback).
//
// x must have inputs.compute_dtype. NaN and Inf in x are errors, except under first_batch_calib,
// where they poison what the reference's are poisoned by.
//
// Errors: kInvalidArgument naming layer and option for a mode that the engine does not have, a
// missing calibration, a pack of another arithmetic; kInternal for what LibTorch reports.
Result<std::unique_ptr<LinearEngine>> MakeLegacyEngine(EngineInputs inputs);

// The weight of a legacy pack as the engine multiplies with it: [N, K] in the pack's dtype.
// Throws c10::Error for what LibTorch refuses.
at::Tensor DequantizedLegacyWeight(const PackedLayer& pack);

// PackArithmetic::kLegacyF32 or kLegacyBf16, the pack that a layer of this dtype needs.
PackArithmetic LegacyArithmeticFor(at::ScalarType dtype);

}  // namespace vlaserve
