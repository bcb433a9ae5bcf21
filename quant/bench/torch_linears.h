// LibTorch's ways to compute a linear, for comparison. Includes LibTorch.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

#include "quant/bench/kernel_bench.h"

namespace vlaserve {

enum class TorchLinearKind { kFloat32, kBFloat16, kBFloat16Prepacked };
inline constexpr TorchLinearKind kTorchLinears[] = {
    TorchLinearKind::kFloat32, TorchLinearKind::kBFloat16, TorchLinearKind::kBFloat16Prepacked};

std::string_view TorchLinearName(TorchLinearKind kind);  // "linear_f32" …
at::ScalarType TorchLinearType(TorchLinearKind kind);

// x Wᵀ with copies of one weight.
class TorchLinear {
 public:
  // `weight`: float32 [N, K]. `rows`: for which prepacked weights are laid out. Check missing().
  TorchLinear(TorchLinearKind kind, const at::Tensor& weight, int64_t rows,
              const KernelBenchOptions& options);

  // Why this LibTorch does not compute it on this processor; empty if it does.
  const std::string& missing() const { return missing_; }
  int64_t weight_bytes() const { return weight_bytes_; }  // of one copy

  // x of TorchLinearType(kind).
  at::Tensor Forward(const at::Tensor& x, int64_t call) const;

 private:
  TorchLinearKind kind_;
  std::vector<at::Tensor> weights_;
  int64_t weight_bytes_ = 0;
  std::string missing_;
};

}  // namespace vlaserve
