// The classes and operators by which TorchScript graphs call engines (C = __torch__.torch.classes):
//   C.vlaserve.QuantizedLinear, C.vlaserve.QuantizedLinears, C.vlaserve.QuantizedActivations
//   vlaserve::linear(Tensor x, QuantizedLinear pack) -> Tensor
// and, for packs whose engine has an int_layer(), the same in pieces (quant/engine/int_layer.h):
//   vlaserve::quantize(Tensor x, QuantizedLinear pack) -> QuantizedActivations
//   vlaserve::rms_norm_quantize(Tensor x, Tensor factor, Tensor? shift, float eps,
//                               QuantizedLinear pack) -> QuantizedActivations
//   vlaserve::layer_norm_quantize(Tensor x, Tensor? weight, Tensor? bias, float eps,
//                                 QuantizedLinear pack) -> QuantizedActivations
//   vlaserve::gated_mlp_quantize(QuantizedActivations x, QuantizedLinear gate, QuantizedLinear up,
//                                QuantizedLinear down) -> QuantizedActivations
//   vlaserve::quantized_linear(QuantizedActivations x, QuantizedLinear pack) -> Tensor
//   vlaserve::quantized_linear_add(QuantizedActivations x, QuantizedLinear pack, Tensor residual,
//                                  Tensor? gate) -> Tensor
//   vlaserve::quantized_linears(QuantizedActivations x, QuantizedLinears packs) -> Tensor[]
// All of them are pure: they write to nothing that they are given.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <ATen/core/ivalue.h>

#include "quant/engine/linear_engine.h"

namespace vlaserve {

// Objects of the TorchScript classes, as values of a module's attributes. The packs of
// MakeQuantizedLinears share their input (IntLayer::SharesInput).
c10::IValue MakeQuantizedLinear(std::string name, std::unique_ptr<LinearEngine> engine);
c10::IValue MakeQuantizedLinears(std::vector<c10::intrusive_ptr<QuantizedLinear>> packs);

}  // namespace vlaserve
