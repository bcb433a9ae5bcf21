#include "quant/report/comparing_engine.h"

#include <span>
#include <utility>

#include "quant/engine/float_linear.h"

namespace vlaserve {
namespace {

std::span<const float> Values(const at::Tensor& rows) {
  return {rows.const_data_ptr<float>(), static_cast<size_t>(rows.numel())};
}

}  // namespace

ComparingEngine::ComparingEngine(at::Tensor weight, at::Tensor bias,
                                 std::unique_ptr<LinearEngine> quantized,
                                 std::shared_ptr<ErrorSums> outputs)
    : weight_(std::move(weight)),
      bias_(std::move(bias)),
      quantized_(std::move(quantized)),
      outputs_(std::move(outputs)) {}

at::Tensor ComparingEngine::Forward(const at::Tensor& x) {
  at::Tensor y = FloatLinear(x, weight_, bias_);
  const at::Tensor quantized = FloatRows(quantized_->Forward(x));
  const at::Tensor reference = FloatRows(y);
  TORCH_CHECK(quantized.sizes() == reference.sizes(), "the quantized layer's output has the shape ",
              quantized.sizes(), ", expected ", reference.sizes());
  outputs_->Add(Values(quantized), Values(reference));
  return y;
}

}  // namespace vlaserve
