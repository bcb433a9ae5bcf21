// The engine `int`: integer codes, integer accumulators (kernels/int_gemm.h). Includes LibTorch.
#pragma once

#include <memory>

#include "quant/engine/engine_inputs.h"
#include "quant/engine/linear_engine.h"

namespace vlaserve {

// y = restore(W · quantize(transform(x))) + bias in float32, then rounded once to x's dtype. The
// same bits for any number of threads and any inputs.isa. The pack must be
// PackArithmetic::kInteger, symmetric, with activation bits above 0 and mode dynamic_token or
// dynamic_token_group. Its int_layer() is null where the observer has `debug` or `profile`, which
// look at every layer on its own.
std::unique_ptr<LinearEngine> MakeIntEngine(EngineInputs inputs);

}  // namespace vlaserve
