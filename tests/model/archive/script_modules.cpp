#include "tests/model/archive/script_modules.h"

namespace vlaserve {

std::string SaveScript(const std::string& path, const std::string& methods,
                       const std::map<std::string, at::Tensor>& parameters) {
  torch::jit::Module module("__torch__.M");
  for (const auto& [name, tensor] : parameters) {
    module.register_parameter(name, tensor, /*is_buffer=*/!tensor.is_floating_point());
  }
  module.define(methods);
  module.save(path);
  return path;
}

}  // namespace vlaserve
