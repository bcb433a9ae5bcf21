#include "model/policy/method_trace.h"

#include <map>
#include <memory>
#include <string>

#include <ATen/ATen.h>

#include "tests/support/catch.h"

namespace vlaserve {
namespace {

torch::jit::Module Child(const std::string& name, const std::string& source) {
  torch::jit::Module module(name);
  module.define(source);
  return module;
}

// root.run(x) = outer.forward(x) + 1 where outer calls inner, a method, a tuple and a branch, and
// changes what inner gave it in place.
torch::jit::Module Root() {
  torch::jit::Module outer("Outer");
  outer.register_module("inner", Child("Inner",
                                       "def forward(self, x: Tensor) -> Tensor:\n"
                                       "    return x * 2\n"
                                       "def pair(self, x: Tensor) -> Tuple[Tensor, Tensor]:\n"
                                       "    return x + 10, x\n"));
  outer.define(
      "def forward(self, x: Tensor, skip: bool) -> Tensor:\n"
      "    y = self.inner.forward(x)\n"
      "    y.add_(100)\n"
      "    a, b = self.inner.pair(y)\n"
      "    if not skip:\n"
      "        a = self.inner.forward(a)\n"
      "    return a + b\n");
  torch::jit::Module root("Root");
  root.register_module("outer", outer);
  root.define(
      "def run(self, x: Tensor) -> Tensor:\n"
      "    return self.outer.forward(x, False) + 1\n"
      "def skipping(self, x: Tensor) -> Tensor:\n"
      "    return self.outer.forward(x, True)\n");
  return root;
}

double Number(const at::Tensor& tensor) { return tensor.item<double>(); }

}  // namespace

TEST_CASE("A traced call gives the method's result and what each submodule returned") {
  const torch::jit::Module root = Root();
  MethodTrace trace(root);
  const at::Tensor x = at::full({}, 3.0);
  const double expected = Number(root.get_method("run")({x}).toTensor());
  CHECK(Number(trace.Run("run", {x}).toTensor()) == expected);

  const MethodCall* call = trace.FirstCall("run");
  REQUIRE(call != nullptr);
  std::multimap<std::string, double> outputs;
  for (const auto& [path, tensor] : call->submodule_outputs) {
    outputs.emplace(path, Number(tensor));
  }
  CHECK(outputs == std::multimap<std::string, double>{{"outer", 338.0},
                                                      {"outer.inner", 6.0},    // before add_
                                                      {"outer.inner", 232.0},  // in the branch
                                                      {"outer.inner.pair", 116.0}});
}

TEST_CASE("Later calls of a method are remembered without their submodules") {
  MethodTrace trace(Root());
  trace.Run("run", {at::full({}, 1.0)});
  trace.Run("run", {at::full({}, 2.0)});
  REQUIRE(trace.calls().size() == 2);
  CHECK_FALSE(trace.calls()[0].submodule_outputs.empty());
  CHECK(trace.calls()[1].submodule_outputs.empty());
  CHECK(Number(trace.calls()[1].arguments.at(0).toTensor()) == 2.0);
  CHECK(trace.FirstCall("skipping") == nullptr);
  trace.Run("skipping", {at::full({}, 1.0)});
  CHECK(trace.FirstCall("skipping")->submodule_outputs.size() == 3);
}

}  // namespace vlaserve
