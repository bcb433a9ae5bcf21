// Quantization as openpi_duquant computes it: float operations in the model's dtype (float32 or
// bfloat16), each rounded to that dtype. Includes LibTorch.
//
// Formulas: README of the quantizer's golden data, §2 (read from the reference's behaviour there).
// Functions throw c10::Error for what LibTorch refuses.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace vlaserve {

// 2^(bits - 1) - 1.
int64_t LegacyQmax(int64_t bits);

// clamp(r(x / scale), -qmax - 1, qmax) in x's dtype; `scale` broadcasts to x. bits 2 … 32.
at::Tensor LegacyCodes(const at::Tensor& x, const at::Tensor& scale, int64_t bits);

struct LegacyWeightScales {
  at::Tensor scales;      // [N], in the weight's dtype
  at::Tensor grid_index;  // [N] int64: which of max|w| / qmax over {0.5, 0.75, 1, 1.25, 1.5}
};

// One scale per row of w [N, K]: of the five candidates the one with the smallest mean squared
// error, the first of equals. bits 2 … 15.
LegacyWeightScales LegacySearchScales(const at::Tensor& w, int64_t bits);

// Scales from percentiles of |x| (float32): max(percentile / qmax, 1e-6), then in `dtype`. NaN
// stays NaN.
at::Tensor LegacyActivationScales(const at::Tensor& percentiles, int64_t bits,
                                  at::ScalarType dtype);

}  // namespace vlaserve
