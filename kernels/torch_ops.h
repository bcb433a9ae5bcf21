// Kernels as operators that TorchScript graphs call:
//   vlaserve::attention(Tensor query, Tensor keys, Tensor values, Tensor? bias) -> Tensor
// They write to nothing that they are given.
#pragma once

#include <optional>

#include <ATen/core/Tensor.h>
#include <ATen/core/symbol.h>

namespace vlaserve {

// softmax(q kᵀ / sqrt(D) + bias) v as in kernels/attention.h, with the kernels of CurrentIsa.
//   query [B, H, S, D], keys and values [B, KV, T, D], views too; KV divides H, and query head h
//   reads KV head h / (H / KV).
//   bias: as torch.scaled_dot_product_attention's attn_mask: what [B, H, S, T] can be expanded
//   from, added to the logits; bool: where keys may be attended to.
// Returns [B, S, H · D], contiguous: as the projection behind reads it.
//
// On LibTorch's threads; the same bits for any number of them. c10::Error for what the kernel does
// not take: devices other than the CPU, types other than float32 and bfloat16 (of all three),
// shapes that do not fit.
at::Tensor Attention(const at::Tensor& query, const at::Tensor& keys, const at::Tensor& values,
                     const std::optional<at::Tensor>& bias);

// "vlaserve::attention". Programs that hold a call of this have the operator registered before
// main.
c10::Symbol AttentionSymbol();

}  // namespace vlaserve
