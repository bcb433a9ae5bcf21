#include "quant/engine/float_linear.h"

#include <optional>

#include <ATen/ops/linear.h>

namespace vlaserve {

at::Tensor FloatLinear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const at::ScalarType dtype = x.scalar_type();
  std::optional<at::Tensor> converted;
  if (bias.defined()) converted = bias.to(dtype);
  return at::linear(x, weight.to(dtype), converted);
}

at::Tensor FloatRows(const at::Tensor& x) {
  return x.to(at::kFloat).reshape({-1, x.size(-1)}).contiguous();
}

}  // namespace vlaserve
