// Fusion of integer linears with what surrounds them in the graph. Includes LibTorch's JIT headers.
//
// Runs after LowerLinears, over the calls of vlaserve::linear whose engine has an int_layer(). It
// finds its places by following values, not by templates of whole graphs: what is not recognised
// stays as it is, and the linear there works alone. The fused operators are listed in
// quant/engine/torch_ops.h; their results differ from the separate ones by rounding only (in
// bfloat16 they round less often).
//
//   kSharedInput  linears of one input with the same transforms quantize it once, and those of one
//                 block are computed together: q, k, v; gate, up
//   kNorm         the norm in front (RMSNorm x · rsqrt(mean x² + eps) · (1 + w), adaRMS with a
//   shift,
//                 aten::layer_norm) is computed where the input is quantized
//   kGatedMlp     gelu(gate) · up and the down projection's transforms are computed where gate and
//   up
//                 are
//   kResidual     what a linear's output is added to (times a gate, in adaRMS) is added in its
//                 epilogue
#pragma once

#include <set>
#include <string>
#include <vector>

#include <torch/csrc/jit/api/module.h>

#include "model/io/status.h"
#include "quant/config/quant_config.h"

namespace vlaserve {

// How often one kind was applied, over all methods: `fused` of `possible` places where linears
// stand in the right order, and the layers (their names) that take part in it somewhere.
struct FusionCount {
  Fusion fusion = Fusion::kSharedInput;
  int64_t fused = 0;
  int64_t possible = 0;
  std::set<std::string> layers;
};

// Applies the fusions of `wanted` to all methods of the root module. One entry per fusion of the
// enumeration, in its order; 0 of 0 for those that are not wanted. Errors: kInternal for what
// LibTorch reports. The module must not be used after an error.
Result<std::vector<FusionCount>> FuseLinears(torch::jit::Module& module,
                                             const std::set<Fusion>& wanted);

}  // namespace vlaserve
