// The methods of a module with all calls inlined: what the pass looks at and changes. Includes
// LibTorch's JIT headers.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/ir.h>

namespace vlaserve {

// One method of a root module with all calls inlined; the module's own graph is untouched.
struct InlinedMethod {
  std::string name;
  std::shared_ptr<torch::jit::Graph> graph;
};

// All methods of the module's class, in its order. Tuples that are packed and unpacked within a
// method are gone.
std::vector<InlinedMethod> InlineMethods(const torch::jit::Module& module);

// Gives the module's method this graph, for all instances of its class. A new function, because one
// that has run keeps what it compiled.
void ReplaceMethod(const torch::jit::Module& module, const InlinedMethod& method);

}  // namespace vlaserve
