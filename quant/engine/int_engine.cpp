#include "quant/engine/int_engine.h"

#include <utility>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include "kernels/int_linear.h"
#include "quant/engine/activations.h"
#include "quant/engine/first_forward.h"

namespace vlaserve {
namespace {

class IntEngine : public LinearEngine {
 public:
  explicit IntEngine(EngineInputs inputs)
      : layer_(std::move(inputs)), transform_(layer_.pack), bias_(WideBias(layer_.bias)) {
    const PackedLayer& pack = layer_.pack;
    weights_ = {pack.out_features, pack.in_features,  pack.storage_bits,
                pack.group,        pack.codes.data(), pack.scales_fp16.data()};
  }

  at::Tensor Forward(const at::Tensor& x) override {
    const at::Tensor rows = transform_.Apply(x);
    const IntActivations activations = layer_.observer->Timed(
        "activation_forward", rows.numel(), static_cast<int64_t>(rows.nbytes()),
        [&] { return QuantizeRows(rows, layer_.settings.activation, layer_.name); });
    at::Tensor y = at::empty({activations.rows, weights_.out_features}, at::kFloat);
    const bool restore = transform_.restores_output();
    const float* bias = bias_.defined() && !restore ? bias_.const_data_ptr<float>() : nullptr;
    float* data = y.mutable_data_ptr<float>();
    constexpr int64_t kFeaturesPerTask = 16;
    at::parallel_for(0, weights_.out_features, kFeaturesPerTask, [&](int64_t begin, int64_t end) {
      IntLinear(activations, weights_, bias, begin, end, data);
    });
    if (restore) {
      transform_.RestoreOutput(y);
      if (bias_.defined()) y.add_(bias_);
    }
    std::vector<int64_t> shape = x.sizes().vec();
    shape.back() = weights_.out_features;
    y = y.reshape(shape).to(x.scalar_type());
    first_forward_.Log(layer_, x, y);
    return y;
  }

 private:
  EngineInputs layer_;
  ActivationTransform transform_;
  at::Tensor bias_;
  IntWeights weights_;
  FirstForward first_forward_;
};

}  // namespace

std::unique_ptr<LinearEngine> MakeIntEngine(EngineInputs inputs) {
  return std::make_unique<IntEngine>(WithObserver(std::move(inputs)));
}

}  // namespace vlaserve
