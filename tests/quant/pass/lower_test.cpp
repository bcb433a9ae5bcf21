#include "quant/pass/lower.h"

#include <memory>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <torch/csrc/jit/frontend/tracer.h>

#include "tests/support/catch.h"
#include "tests/support/matchers.h"

namespace vlaserve {
namespace {

using Engines = std::map<std::string, std::unique_ptr<LinearEngine>>;

// Adds 1000 to what the linear would have given, so that its results stand out, and counts calls.
class MarkingEngine : public LinearEngine {
 public:
  MarkingEngine(const GraphLinear& linear, int& calls)
      : weight_(linear.weight.clone()), bias_(linear.bias), calls_(calls) {}

  at::Tensor Forward(const at::Tensor& x) override {
    ++calls_;
    std::optional<at::Tensor> bias;
    if (bias_.defined()) bias = bias_.to(x.scalar_type());
    return at::linear(x, weight_.to(x.scalar_type()), bias) + 1000;
  }

 private:
  at::Tensor weight_;
  at::Tensor bias_;
  int& calls_;
};

at::ScalarType AsStored(const std::string&, at::ScalarType stored) { return stored; }

at::Tensor Numbers(at::IntArrayRef shape, double first = 1) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return at::arange(count, at::kFloat).reshape(shape).add_(first);
}

torch::jit::Module LinearModule(int64_t in, int64_t out, bool bias, double first) {
  torch::jit::Module module("Linear");
  module.register_parameter("weight", Numbers({out, in}, first), false);
  if (bias) module.register_parameter("bias", Numbers({out}, -first), false);
  module.define(bias ? "def forward(self, x: Tensor) -> Tensor:\n"
                       "    return torch.linear(x, self.weight, self.bias)\n"
                     : "def forward(self, x: Tensor) -> Tensor:\n"
                       "    return torch.linear(x, self.weight.to(x.dtype), None)\n");
  return module;
}

// run(x) = whole(x) after `half`; both use `up`, only whole uses `down`, behind a branch in a loop.
torch::jit::Module Scripted() {
  torch::jit::Module block("Block");
  block.register_module("up", LinearModule(2, 3, true, 1));
  block.register_module("down", LinearModule(3, 2, false, 5));
  block.define(
      "def half(self, x: Tensor) -> Tensor:\n"
      "    return self.up.forward(x)\n"
      "def forward(self, x: Tensor, rounds: int) -> Tensor:\n"
      "    for i in range(rounds):\n"
      "        if x.size(0) > 0:\n"
      "            x = self.down.forward(self.half(x.to(self.up.weight.dtype)))\n"
      "    return x\n");
  torch::jit::Module root("Root");
  root.register_module("block", block);
  root.define(
      "def part(self, x: Tensor) -> Tensor:\n"
      "    return self.block.half(x)\n"
      "def whole(self, x: Tensor, rounds: int) -> Tensor:\n"
      "    rows = self.block.up.weight.size(0)\n"
      "    return self.block.forward(x, rounds) + rows\n"
      "def both(self, x: Tensor) -> Tensor:\n"
      "    return self.part(x).sum() + self.whole(x, 1).sum()\n");
  return root;
}

std::map<std::string, GraphLinear> LinearsOf(const torch::jit::Module& module) {
  Result<std::vector<GraphLinear>> linears = FindLinears(module);
  INFO(linears.status().message());
  REQUIRE(linears.ok());
  std::map<std::string, GraphLinear> by_name;
  for (GraphLinear& linear : *linears) by_name.emplace(linear.name, std::move(linear));
  CHECK(by_name.size() == linears->size());
  return by_name;
}

// Lowers the named linears with marking engines, which count into `calls`.
Status LowerMarked(torch::jit::Module& module, const std::vector<std::string>& names,
                   std::map<std::string, int>& calls) {
  const std::map<std::string, GraphLinear> linears = LinearsOf(module);
  Engines engines;
  for (const std::string& name : names) {
    const auto found = linears.find(name);
    const GraphLinear& linear = (found == linears.end() ? linears.begin() : found)->second;
    engines[name] = std::make_unique<MarkingEngine>(linear, calls[name]);
  }
  return LowerLinears(module, std::move(engines), AsStored).status();
}

double Sum(const c10::IValue& value) { return value.toTensor().sum().item<double>(); }

}  // namespace

TEST_CASE("Linears of a scripted module are found by path, through casts and in every method") {
  const auto linears = LinearsOf(Scripted());
  REQUIRE(linears.size() == 2);
  const GraphLinear& up = linears.at("block.up");
  CHECK(up.weight.sizes() == at::IntArrayRef{3, 2});
  CHECK(up.bias.defined());
  CHECK(up.uses == 4);  // part, whole, and both of them in both
  CHECK(up.other_uses.empty());
  const GraphLinear& down = linears.at("block.down");
  CHECK(!down.bias.defined());
  CHECK(down.uses == 2);
}

TEST_CASE("A lowered module computes with the engines, from every method") {
  const at::Tensor x = Numbers({2, 2});
  torch::jit::Module module = Scripted();
  const double up = Sum(module.get_method("part")({x}));
  std::map<std::string, int> calls;
  const Status status = LowerMarked(module, {"block.up", "block.down"}, calls);
  INFO(status.message());
  REQUIRE(status.ok());
  // [2, 3] numbers, 1000 more each.
  CHECK(Sum(module.get_method("part")({x})) == up + 6 * 1000);
  CHECK(calls["block.up"] == 1);
  module.get_method("whole")({x, 3});
  CHECK(calls["block.up"] == 4);
  CHECK(calls["block.down"] == 3);
  module.get_method("both")({x});
  CHECK(calls["block.up"] == 6);
  CHECK(calls["block.down"] == 4);
}

TEST_CASE("A method that has run before it is lowered computes with the engines afterwards") {
  const at::Tensor x = Numbers({2, 2});
  torch::jit::Module module = Scripted();
  double before = 0;
  for (int i = 0; i < 3; ++i) before = Sum(module.get_method("both")({x}));
  std::map<std::string, int> calls;
  REQUIRE(LowerMarked(module, {"block.up"}, calls).ok());
  CHECK(Sum(module.get_method("both")({x})) > before);
  CHECK(calls["block.up"] == 2);
}

TEST_CASE("Linears that are not named stay as they are") {
  const at::Tensor x = Numbers({2, 2});
  torch::jit::Module module = Scripted();
  const double part = Sum(module.get_method("part")({x}));
  std::map<std::string, int> calls;
  REQUIRE(LowerMarked(module, {"block.down"}, calls).ok());
  CHECK(Sum(module.get_method("part")({x})) == part);
  CHECK(calls["block.down"] == 0);
}

TEST_CASE("A replaced weight leaves a shape of the wanted dtype that holds one NaN") {
  torch::jit::Module module = Scripted();
  std::map<std::string, int> calls;
  Engines engines;
  engines["block.up"] =
      std::make_unique<MarkingEngine>(LinearsOf(module).at("block.up"), calls["block.up"]);
  std::vector<std::string> asked;
  const auto lowered = LowerLinears(module, std::move(engines),
                                    [&](const std::string& parameter, at::ScalarType stored) {
                                      asked.push_back(parameter);
                                      CHECK(stored == at::kFloat);
                                      return at::kBFloat16;
                                    });
  REQUIRE(lowered.ok());
  CHECK(lowered->replaced_layers == 1);
  CHECK(lowered->replaced_nodes == 4);
  CHECK(asked == std::vector<std::string>{"block.up.weight"});
  const at::Tensor weight =
      module.attr("block").toModule().attr("up").toModule().attr("weight").toTensor();
  CHECK(weight.sizes() == at::IntArrayRef{3, 2});
  CHECK(weight.scalar_type() == at::kBFloat16);
  CHECK(weight.isnan().all().item<bool>());
  CHECK(weight.storage().nbytes() == 2);
  const at::Tensor bias =
      module.attr("block").toModule().attr("up").toModule().attr("bias").toTensor();
  CHECK(!bias.isnan().any().item<bool>());
}

TEST_CASE("A weight that is also read otherwise is refused with layer and operator") {
  for (const auto& [code, reader] : std::map<std::string, std::string>{
           {"torch.matmul(x, self.fc.weight.t())", "aten::t in peek"},
           {"self.fc.weight.to(x.dtype).narrow(0, 0, 1)", "aten::narrow in peek"},
           {"self.fc.weight", "prim::Return in peek"},
           {"torch.linear(self.fc.weight, x, None)", "aten::linear in peek"},
           {"torch.linear(x, self.fc.weight, self.other)",
            "aten::linear with another bias in peek"},
           {"torch.linear(x, self.fc.weight, x.select(0, 0))",
            "aten::linear with a computed bias in peek"}}) {
    INFO(code);
    torch::jit::Module root("Root");
    root.register_module("fc", LinearModule(2, 2, true, 1));
    root.register_buffer("other", Numbers({2}));
    root.define(
        "def run(self, x: Tensor) -> Tensor:\n    return self.fc.forward(x)\n"
        "def peek(self, x: Tensor) -> Tensor:\n    return " +
        code + "\n");
    std::map<std::string, int> calls;
    const Status status = LowerMarked(root, {"fc"}, calls);
    CHECK(status.code() == StatusCode::kInvalidArgument);
    CHECK_THAT(status.message(), ContainsText("fc: cannot be replaced"));
    CHECK_THAT(status.message(), ContainsText(reader));
  }
}

TEST_CASE("A linear that no method uses is refused by name") {
  torch::jit::Module module = Scripted();
  std::map<std::string, int> calls;
  const Status status = LowerMarked(module, {"block.sideways"}, calls);
  CHECK(status.code() == StatusCode::kInvalidArgument);
  CHECK_THAT(status.message(), ContainsText("block.sideways"));
}

TEST_CASE("A traced module is lowered") {
  torch::jit::Module root("Traced");
  root.register_module("fc", LinearModule(2, 3, true, 1));
  const at::Tensor x = Numbers({2, 2});
  const auto traced = torch::jit::tracer::trace(
      {x},
      [&](torch::jit::Stack inputs) -> torch::jit::Stack {
        const torch::jit::Module fc = root.attr("fc").toModule();
        return {at::relu(at::linear(inputs[0].toTensor(), fc.attr("weight").toTensor(),
                                    fc.attr("bias").toTensor()))};
      },
      [](const torch::autograd::Variable&) { return ""; }, /*strict=*/true,
      /*force_outplace=*/false, &root);
  root.type()->addMethod(root._ivalue()->compilation_unit()->create_function(
      c10::QualifiedName(*root.type()->name(), "forward"), traced.first->graph));
  const double before = Sum(root.forward({x}));
  std::map<std::string, int> calls;
  const Status status = LowerMarked(root, {"fc"}, calls);
  INFO(status.message());
  REQUIRE(status.ok());
  CHECK(Sum(root.forward({x})) == before + 6 * 1000);
  CHECK(calls["fc"] == 1);
}

TEST_CASE("A frozen module, whose weights are constants, is lowered") {
  torch::jit::Module block("Frozen");
  block.register_attribute("training", c10::BoolType::get(), false);
  block.register_module("up", LinearModule(2, 3, true, 1));
  block.register_module("down", LinearModule(3, 2, false, 5));
  block.define(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    return self.down.forward(self.up.forward(x)) + self.up.weight.size(0)\n");
  torch::jit::Module module = torch::jit::freeze(block);
  const at::Tensor x = Numbers({2, 2});
  const double before = Sum(module.forward({x}));
  const auto linears = LinearsOf(module);
  REQUIRE(linears.size() == 2);
  REQUIRE(linears.count("constant.0") == 1);
  CHECK(linears.at("constant.0").weight.sizes() == at::IntArrayRef{3, 2});
  std::map<std::string, int> calls;
  const Status status = LowerMarked(module, {"constant.1"}, calls);
  INFO(status.message());
  REQUIRE(status.ok());
  CHECK(Sum(module.forward({x})) == before + 4 * 1000);
  CHECK(calls["constant.1"] == 1);
}

}  // namespace vlaserve
