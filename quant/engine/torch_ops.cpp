#include "quant/engine/torch_ops.h"

#include <optional>
#include <utility>

#include <torch/library.h>

#include "quant/engine/int_layer.h"

namespace vlaserve {
namespace {

using Pack = c10::intrusive_ptr<QuantizedLinear>;
using Activations = c10::intrusive_ptr<QuantizedActivations>;
using OptionalTensor = std::optional<at::Tensor>;

// Several packs of one input.
struct QuantizedLinears : torch::CustomClassHolder {
  explicit QuantizedLinears(std::vector<Pack> members) : packs(std::move(members)) {}
  std::vector<Pack> packs;
};

const IntLayer& LayerOf(const Pack& pack) {
  TORCH_CHECK(pack->int_layer() != nullptr, pack->name(), ": its engine works alone only");
  return *pack->int_layer();
}

at::Tensor OrUndefined(const OptionalTensor& tensor) { return tensor ? *tensor : at::Tensor(); }

at::Tensor Linear(const at::Tensor& x, const Pack& pack) { return pack->Forward(x); }

Activations Quantize(const at::Tensor& x, const Pack& pack) { return LayerOf(pack).Quantize(x); }

Activations RmsNormQuantize(const at::Tensor& x, const at::Tensor& factor,
                            const OptionalTensor& shift, double eps, const Pack& pack) {
  return LayerOf(pack).Quantize(x, {kernels::NormKind::kRms, eps, factor, OrUndefined(shift)});
}

Activations LayerNormQuantize(const at::Tensor& x, const OptionalTensor& weight,
                              const OptionalTensor& bias, double eps, const Pack& pack) {
  return LayerOf(pack).Quantize(
      x, {kernels::NormKind::kLayer, eps, OrUndefined(weight), OrUndefined(bias)});
}

Activations GatedMlpQuantize(const Activations& x, const Pack& gate, const Pack& up,
                             const Pack& down) {
  return LayerOf(down).QuantizeGated(*x, LayerOf(gate), LayerOf(up));
}

at::Tensor QuantizedLinearOf(const Activations& x, const Pack& pack) {
  return LayerOf(pack).Linear(*x);
}

at::Tensor QuantizedLinearAdd(const Activations& x, const Pack& pack, const at::Tensor& residual,
                              const OptionalTensor& gate) {
  return LayerOf(pack).Linear(*x, residual, OrUndefined(gate));
}

std::vector<at::Tensor> QuantizedLinearsOf(const Activations& x,
                                           const c10::intrusive_ptr<QuantizedLinears>& packs) {
  std::vector<const IntLayer*> layers;
  for (const Pack& pack : packs->packs) layers.push_back(&LayerOf(pack));
  return IntLinears(*x, layers);
}

}  // namespace

// Runs before main in every program that holds MakeQuantizedLinear.
TORCH_LIBRARY(vlaserve, library) {
  library.class_<QuantizedLinear>("QuantizedLinear");
  library.class_<QuantizedLinears>("QuantizedLinears");
  library.class_<QuantizedActivations>("QuantizedActivations");
  const auto define = [&library](const std::string& schema, auto function) {
    library.def(schema.c_str(), function);
  };
  const std::string classes = "__torch__.torch.classes.vlaserve.";
  const std::string pack = classes + "QuantizedLinear ";
  const std::string packs = classes + "QuantizedLinears ";
  const std::string activations = classes + "QuantizedActivations ";
  define("linear(Tensor x, " + pack + "pack) -> Tensor", Linear);
  define("quantize(Tensor x, " + pack + "pack) -> " + activations, Quantize);
  define("rms_norm_quantize(Tensor x, Tensor factor, Tensor? shift, float eps, " + pack +
             "pack) -> " + activations,
         RmsNormQuantize);
  define("layer_norm_quantize(Tensor x, Tensor? weight, Tensor? bias, float eps, " + pack +
             "pack) -> " + activations,
         LayerNormQuantize);
  define("gated_mlp_quantize(" + activations + "x, " + pack + "gate, " + pack + "up, " + pack +
             "down) -> " + activations,
         GatedMlpQuantize);
  define("quantized_linear(" + activations + "x, " + pack + "pack) -> Tensor", QuantizedLinearOf);
  define("quantized_linear_add(" + activations + "x, " + pack +
             "pack, Tensor residual, Tensor? gate) -> Tensor",
         QuantizedLinearAdd);
  define("quantized_linears(" + activations + "x, " + packs + "packs) -> Tensor[]",
         QuantizedLinearsOf);
}

c10::IValue MakeQuantizedLinear(std::string name, std::unique_ptr<LinearEngine> engine) {
  return c10::make_intrusive<QuantizedLinear>(std::move(name), std::move(engine));
}

c10::IValue MakeQuantizedLinears(std::vector<c10::intrusive_ptr<QuantizedLinear>> packs) {
  return c10::make_intrusive<QuantizedLinears>(std::move(packs));
}

}  // namespace vlaserve
