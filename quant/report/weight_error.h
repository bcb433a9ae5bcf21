// How far the weights of a pack are from their source. Includes LibTorch.
#pragma once

#include <ATen/core/Tensor.h>

#include "quant/pack/packed_layer.h"
#include "quant/report/error_sums.h"

namespace vlaserve {

// The pack's dequantized weight against `weight` [N, K] (as stored) with the pack's transforms,
// where both have been rotated alike; output rotations that the engine undoes are undone first. A
// pack without quantized weights has no error. Throws what LibTorch throws.
ErrorSums WeightErrors(const PackedLayer& pack, const at::Tensor& weight);

}  // namespace vlaserve
