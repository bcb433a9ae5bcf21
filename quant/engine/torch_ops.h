// The class and the operator by which TorchScript graphs call engines:
//   __torch__.torch.classes.vlaserve.QuantizedLinear
//   vlaserve::linear(Tensor x, __torch__.torch.classes.vlaserve.QuantizedLinear pack) -> Tensor
#pragma once

#include <memory>
#include <string>

#include <ATen/core/ivalue.h>

#include "quant/engine/linear_engine.h"

namespace vlaserve {

// An object of the TorchScript class, as the value of a module's attribute.
c10::IValue MakeQuantizedLinear(std::string name, std::unique_ptr<LinearEngine> engine);

}  // namespace vlaserve
