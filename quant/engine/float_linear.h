// aten::linear for engines that stand beside or in place of it. Includes LibTorch.
#pragma once

#include <ATen/core/Tensor.h>

namespace vlaserve {

// y = x Wᵀ + b in x's dtype, to which weight [N, K] and bias [N] (undefined: none) are converted.
at::Tensor FloatLinear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

// x [..., K] as float32 rows [n, K], contiguous; shares x's memory if that is what it is already.
at::Tensor FloatRows(const at::Tensor& x);

}  // namespace vlaserve
