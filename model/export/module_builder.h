// The TorchScript module of a policy, built from templates and tensors. Includes LibTorch.
#pragma once

#include <map>
#include <string>

#include <torch/csrc/jit/api/module.h>

#include "model/checkpoint/geometry.h"
#include "model/io/status.h"

namespace vlaserve {

// Builds the module tree of model/archive/FORMAT.md: class PI0Pytorch with openpi's module paths,
// one class type per kind of module, methods from model/torchscript/. `tensors` maps canonical
// names to the parameters (ExpectedTensors) and "rope_inv_freq"; the module shares them, nothing is
// copied or read. Dtypes: the rules of weights.h. kInternal if a tensor is missing or LibTorch
// refuses a template.
Result<torch::jit::Module> BuildPolicyModule(const Geometry& geometry,
                                             const std::map<std::string, at::Tensor>& tensors);

}  // namespace vlaserve
