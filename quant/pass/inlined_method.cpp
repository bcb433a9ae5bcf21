#include "quant/pass/inlined_method.h"

#include <utility>

#include <torch/csrc/jit/api/compilation_unit.h>
#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/passes/lower_tuples.h>

namespace vlaserve {

std::vector<InlinedMethod> InlineMethods(const torch::jit::Module& module) {
  std::vector<InlinedMethod> methods;
  for (torch::jit::Function* function : module.type()->methods()) {
    InlinedMethod method{function->name(), torch::jit::toGraphFunction(*function).graph()->copy()};
    torch::jit::Inline(*method.graph);
    torch::jit::LowerSimpleTuples(method.graph);
    methods.push_back(std::move(method));
  }
  return methods;
}

void ReplaceMethod(const torch::jit::Module& module, const InlinedMethod& method) {
  const c10::ClassTypePtr type = module.type();
  torch::jit::Function& old = type->getMethod(method.name);
  c10::FunctionSchema schema = old.getSchema();
  torch::jit::Function* function = module._ivalue()->compilation_unit()->create_function(
      old.qualname(), method.graph, /*shouldMangle=*/true);
  function->setSchema(std::move(schema));
  type->unsafeRemoveMethod(method.name);
  type->addMethod(function);
}

}  // namespace vlaserve
