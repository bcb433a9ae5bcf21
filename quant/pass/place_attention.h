// Puts our attention operator (kernels/torch_ops.h) in the place of LibTorch's. Free of LibTorch
// headers.
#pragma once

#include <cstdint>

#include "model/io/status.h"

namespace torch::jit {
struct Module;
}

namespace vlaserve {

class Archive;

// How many nodes of aten::scaled_dot_product_attention the methods have, after inlining, and how
// many gave way.
struct AttentionPlaces {
  int64_t placed = 0;
  int64_t possible = 0;
};

// In all methods of the root module:
//   scaled_dot_product_attention(q, k, v, bias) → transpose(1, 2) → reshape(shape)
// with the default scale, without dropout, causal mask or enable_gqa, becomes
//   vlaserve::attention(q, k, v, bias) → reshape(shape)
// which is the same for every shape, as reshape sees the elements in their order. Where k and v
// repeat KV heads by unsqueeze(2) → expand → reshape, the operator gets them without the copies.
// Everything else stays as it is.
//
// For modules that run on the CPU. The module's class must not be shared with a module that goes on
// as it was. Errors: kInternal for what LibTorch reports; the module must not be used after one.
Result<AttentionPlaces> PlaceAttention(const torch::jit::Module& module);

// Of the archive's module. Call it after QuantizeArchive and before CreatePolicy.
Result<AttentionPlaces> PlaceAttention(Archive& archive);

}  // namespace vlaserve
