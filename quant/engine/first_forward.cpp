#include "quant/engine/first_forward.h"

#include <memory>
#include <utility>

#include "quant/engine/observer.h"

namespace vlaserve {

EngineInputs WithObserver(EngineInputs inputs) {
  if (inputs.observer == nullptr) {
    inputs.observer = std::make_shared<EngineObserver>(EngineObserver::Options{});
  }
  return inputs;
}

void FirstForward::Log(const EngineInputs& layer, const at::Tensor& x, const at::Tensor& y) {
  if (logged_) return;
  logged_ = true;
  const PackedLayer& pack = layer.pack;
  const int64_t activation_bits = layer.settings.activation.bits;
  layer.observer->LogCached(
      {.name = layer.name,
       .dtype = x.scalar_type() == at::kBFloat16 ? "bfloat16" : "float32",
       .weight_bits = pack.weight_bits,
       .activation_bits = activation_bits,
       .block = layer.settings.transform.block,
       .permuted = !pack.permutation.empty(),
       .row_rotation = pack.rotate_out == RotateOut::kRestore ? "restore" : "0",
       .weights_prequantized = true});
  layer.observer->LogForwarded(
      {layer.name, x.sizes(), y.sizes(), pack.weight_bits, activation_bits});
}

}  // namespace vlaserve
