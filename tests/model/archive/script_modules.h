// Small TorchScript archives for tests, written by LibTorch.
#pragma once

#include <map>
#include <string>

#include <torch/csrc/jit/api/module.h>

namespace vlaserve {

// Compiles `methods` ("def forward(self, x): …") as class M with these parameters and saves it.
// Returns the path.
std::string SaveScript(const std::string& path, const std::string& methods,
                       const std::map<std::string, at::Tensor>& parameters = {});

}  // namespace vlaserve
