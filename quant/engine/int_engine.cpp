#include "quant/engine/int_engine.h"

#include <utility>

#include "quant/engine/first_forward.h"
#include "quant/engine/int_layer.h"

namespace vlaserve {
namespace {

class IntEngine : public LinearEngine {
 public:
  explicit IntEngine(EngineInputs inputs) : layer_(std::move(inputs)) {}

  at::Tensor Forward(const at::Tensor& x) override {
    const EngineInputs& inputs = layer_.inputs();
    const auto float_bytes = x.numel() * static_cast<int64_t>(sizeof(float));
    const c10::intrusive_ptr<QuantizedActivations> activations = inputs.observer->Timed(
        "activation_forward", x.numel(), float_bytes, [&] { return layer_.Quantize(x); });
    at::Tensor y = layer_.Linear(*activations);
    first_forward_.Log(inputs, x, y);
    return y;
  }

  // What an observer wants to see of each layer, only Forward shows.
  const IntLayer* int_layer() const override {
    const EngineObserver::Options& options = layer_.inputs().observer->options();
    return options.debug || options.profile ? nullptr : &layer_;
  }

 private:
  IntLayer layer_;
  FirstForward first_forward_;
};

}  // namespace

std::unique_ptr<LinearEngine> MakeIntEngine(EngineInputs inputs) {
  return std::make_unique<IntEngine>(WithObserver(std::move(inputs)));
}

}  // namespace vlaserve
