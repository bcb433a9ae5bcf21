// The float linear with a quantized engine beside it. Includes LibTorch.
#pragma once

#include <memory>

#include "quant/engine/linear_engine.h"
#include "quant/report/error_sums.h"

namespace vlaserve {

// Answers with the float linear's output, so that every layer of a policy is judged on the inputs
// that the float policy gives it; the quantized engine's output for the same input is only
// compared.
class ComparingEngine : public LinearEngine {
 public:
  // `weight` [N, K] and `bias` [N] (undefined: none) as stored: they are converted in every call,
  // so that a float copy of the policy's weights need not fit into memory. `outputs` collects the
  // differences.
  ComparingEngine(at::Tensor weight, at::Tensor bias, std::unique_ptr<LinearEngine> quantized,
                  std::shared_ptr<ErrorSums> outputs);

  at::Tensor Forward(const at::Tensor& x) override;

 private:
  at::Tensor weight_;
  at::Tensor bias_;
  std::unique_ptr<LinearEngine> quantized_;
  std::shared_ptr<ErrorSums> outputs_;
};

}  // namespace vlaserve
