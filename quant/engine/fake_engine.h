// The engine `fake`: the codes and scales of `int`, multiplied in float. Includes LibTorch.
#pragma once

#include <memory>

#include "quant/engine/engine_inputs.h"
#include "quant/engine/linear_engine.h"

namespace vlaserve {

// y = restore(dequantize(quantize(transform(x))) · dequantize(W)ᵀ) + bias in float32, then rounded
// once to x's dtype: the oracle of `int`, equal to it up to float32 summation. Does what `int`
// cannot: asymmetric weights, 2 … 7 activation bits, and none (0: activations stay float).
//
// Weights are dequantized anew in every call, a band of output features at a time: codes are all
// that stays in memory.
std::unique_ptr<LinearEngine> MakeFakeEngine(EngineInputs inputs);

// Output features [begin, end) of an integer pack (kInteger, with codes) as float32 [end - begin,
// K], in the transformed space: code · scale, or (code - zero) · scale, rounded once.
at::Tensor DequantizeWeights(const PackedLayer& pack, int64_t begin, int64_t end);

}  // namespace vlaserve
