// Looks inside a call of a TorchScript method: the outputs of the submodules that it calls.
//
// Includes LibTorch's JIT headers.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/ivalue.h>
#include <torch/csrc/jit/api/module.h>

namespace vlaserve {

// One call of a method of the root module.
struct MethodCall {
  std::string method;
  std::vector<c10::IValue> arguments;
  c10::IValue result;
  // First call of this method only: the tensor outputs of the submodule calls in it, a caller
  // before what it calls, by the submodule's path ("a.b" for its forward, "a.b.m" for another
  // method m). Copies, taken when the submodule returned.
  std::vector<std::pair<std::string, at::Tensor>> submodule_outputs;
};

// Runs methods and remembers every call. Submodule calls inside a branch of the method are run but
// not recorded. Throws what LibTorch throws.
class MethodTrace {
 public:
  explicit MethodTrace(torch::jit::Module module) : module_(std::move(module)) {}

  c10::IValue Run(const std::string& method, std::vector<c10::IValue> arguments);

  // In the order in which they were made.
  const std::vector<MethodCall>& calls() const { return calls_; }
  // The first recorded call of the method; null if there was none.
  const MethodCall* FirstCall(const std::string& method) const;

 private:
  torch::jit::Module module_;
  std::vector<MethodCall> calls_;
};

}  // namespace vlaserve
