#include "quant/engine/torch_ops.h"

#include <utility>

#include <torch/library.h>

namespace vlaserve {
namespace {

using Pack = c10::intrusive_ptr<QuantizedLinear>;

at::Tensor Linear(const at::Tensor& x, const Pack& pack) { return pack->Forward(x); }

}  // namespace

// Runs before main in every program that holds MakeQuantizedLinear.
TORCH_LIBRARY(vlaserve, library) {
  library.class_<QuantizedLinear>("QuantizedLinear");
  library.def("linear(Tensor x, __torch__.torch.classes.vlaserve.QuantizedLinear pack) -> Tensor",
              Linear);
}

c10::IValue MakeQuantizedLinear(std::string name, std::unique_ptr<LinearEngine> engine) {
  return c10::make_intrusive<QuantizedLinear>(std::move(name), std::move(engine));
}

}  // namespace vlaserve
