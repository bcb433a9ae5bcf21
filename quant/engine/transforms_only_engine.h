// The engine `transforms_only`: transforms without quantization, which must equal the float layer.
// Includes LibTorch.
#pragma once

#include <memory>

#include "model/io/status.h"
#include "quant/engine/engine_inputs.h"
#include "quant/engine/linear_engine.h"

namespace vlaserve {

// y = restore(x_t · W_tᵀ) + bias, computed in float32 and rounded once to x's dtype. x_t and W_t
// get the transforms of inputs.pack (PackArithmetic::kNone) by kernels/transform.h; W_t is computed
// from inputs.weight here and kept in float32. NaN and Inf in x are errors naming the layer.
//
// Errors: kInvalidArgument naming the layer for a weight that does not fit the pack; kInternal for
// what LibTorch reports.
Result<std::unique_ptr<LinearEngine>> MakeTransformsOnlyEngine(EngineInputs inputs);

}  // namespace vlaserve
