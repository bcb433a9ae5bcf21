// What stands in for one aten::linear of the graph. Includes LibTorch.
//
// The lowering (quant/pass/lower.h) replaces aten::linear(x, weight, bias) by
// vlaserve::linear(x, pack), where pack is a QuantizedLinear: an attribute of the root module.
#pragma once

#include <memory>
#include <string>

#include <ATen/core/Tensor.h>
#include <torch/custom_class.h>

namespace vlaserve {

class IntLayer;  // quant/engine/int_layer.h

// One layer, ready to compute. x [..., K] float32 or bfloat16 → y [..., N] in x's dtype, bias
// included. Throws c10::Error (the boundary in model/policy turns it into a Status); a NaN or Inf
// in x is such an error, naming the layer. One thread at a time; uses at::parallel_for.
class LinearEngine {
 public:
  virtual ~LinearEngine() = default;
  virtual at::Tensor Forward(const at::Tensor& x) = 0;
  // The layer in pieces, for operators that fuse it with its neighbours; null: it works alone only.
  // Lives as long as the engine.
  virtual const IntLayer* int_layer() const { return nullptr; }
};

// The TorchScript class torch.classes.vlaserve.QuantizedLinear.
class QuantizedLinear : public torch::CustomClassHolder {
 public:
  QuantizedLinear(std::string name, std::unique_ptr<LinearEngine> engine)
      : name_(std::move(name)), engine_(std::move(engine)) {}

  const std::string& name() const { return name_; }
  at::Tensor Forward(const at::Tensor& x) { return engine_->Forward(x); }
  const IntLayer* int_layer() const { return engine_->int_layer(); }

 private:
  std::string name_;
  std::unique_ptr<LinearEngine> engine_;
};

}  // namespace vlaserve
