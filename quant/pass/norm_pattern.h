// Norms in an inlined graph, found backwards from their output. Includes LibTorch's JIT headers.
#pragma once

#include <optional>

#include <torch/csrc/jit/ir/ir.h>

namespace vlaserve {

// y = norm(x), y in x's dtype.
struct NormPattern {
  enum class Kind {
    kRms,    // x / rms(x) · factor (+ shift), computed in float32
    kLayer,  // aten::layer_norm over the last dimension
  };
  Kind kind = Kind::kRms;
  torch::jit::Value* x = nullptr;
  torch::jit::Value* factor = nullptr;  // kLayer: weight, may be None
  torch::jit::Value* shift = nullptr;   // null: none; kLayer: bias, may be None
  torch::jit::Value* eps = nullptr;     // float
  torch::jit::Node* first = nullptr;    // the first node of the pattern that reads x
};

// The norm that computes `output`; nullopt if it is none of these. kRms is
//   wide = x.to(float32);  r = rsqrt(mean(wide · wide, [-1], True) + eps)
//   output = ((wide · r) · factor (+ shift)).to(x.dtype)
std::optional<NormPattern> FindNorm(torch::jit::Value* output);

}  // namespace vlaserve
