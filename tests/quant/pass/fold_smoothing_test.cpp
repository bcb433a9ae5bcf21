#include "quant/pass/fold_smoothing.h"

#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "tests/support/catch.h"

namespace vlaserve {
namespace {

using Scales = std::map<std::string, std::span<const float>>;
using Names = std::set<std::string>;

const std::vector<float> kScales = {2, 0.5, 8};
const std::vector<float> kOtherScales = {2, 0.5, 9};

torch::jit::Module Linear(double first) {
  torch::jit::Module module("Linear");
  module.register_parameter("weight", at::arange(6, at::kFloat).reshape({2, 3}) + first, false);
  module.define(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    return torch.linear(x, self.weight, None)\n");
  return module;
}

// RMSNorm, then a(normed) + b(normed); `run` is the body behind the norm.
torch::jit::Module Block(const std::string& run) {
  torch::jit::Module norm("Norm");
  norm.register_parameter("weight", at::tensor({0.5F, -0.25F, 0.125F}), false);
  norm.define(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    wide = x.to(6)\n"
      "    normed = wide * torch.rsqrt(torch.mean(wide * wide, [-1], True) + 1e-6)\n"
      "    return (normed * (1.0 + self.weight.to(6))).to(x.dtype)\n");
  torch::jit::Module block("Block");
  block.register_module("norm", norm);
  block.register_module("a", Linear(1));
  block.register_module("b", Linear(-3));
  block.define("def run(self, x: Tensor) -> Tensor:\n    normed = self.norm.forward(x)\n" + run);
  return block;
}

constexpr const char* kBoth = "    return self.a.forward(normed) + self.b.forward(normed)\n";

at::Tensor NormWeight(const torch::jit::Module& block) {
  return block.attr("norm").toModule().attr("weight").toTensor();
}

Names Fold(const torch::jit::Module& block, const Scales& smooth) {
  const auto folded = FoldSmoothing(block, smooth);
  INFO(folded.status().message());
  REQUIRE(folded.ok());
  return *folded;
}

void CheckLeftAlone(const torch::jit::Module& block, const Scales& smooth) {
  const at::Tensor before = NormWeight(block).clone();
  CHECK(Fold(block, smooth).empty());
  CHECK(at::equal(NormWeight(block), before));
}

}  // namespace

TEST_CASE("A norm in front of linears with equal scales divides for them") {
  const at::Tensor x = at::tensor({1.0F, -2.0F, 0.5F, 3.0F, 0.25F, -1.0F}).reshape({2, 3});
  torch::jit::Module block = Block(kBoth);
  REQUIRE(Fold(block, {{"a", kScales}, {"b", kScales}}) == Names{"a", "b"});
  const at::Tensor normed = block.attr("norm").toModule().run_method("forward", x).toTensor();
  torch::jit::Module fresh = Block(kBoth);
  const at::Tensor expected =
      fresh.attr("norm").toModule().run_method("forward", x).toTensor() / at::tensor(kScales);
  CHECK((normed - expected).abs().max().item<float>() < 1e-6F);
}

TEST_CASE("Uses that only ask for sizes and branches do not stand in the way") {
  const torch::jit::Module block = Block(
      "    y = self.a.forward(normed)\n"
      "    if normed.size(0) > 1:\n"
      "        y = y + self.b.forward(normed)\n"
      "    return y\n");
  CHECK(Fold(block, {{"a", kScales}, {"b", kScales}}) == Names{"a", "b"});
}

TEST_CASE("A norm whose output or weight somebody else reads is left alone") {
  const Scales both = {{"a", kScales}, {"b", kScales}};
  CheckLeftAlone(Block("    return self.a.forward(normed) + normed.sum()\n"), both);
  CheckLeftAlone(Block("    return self.a.forward(normed) + self.norm.weight.sum()\n"), both);
  CheckLeftAlone(Block("    self.a.forward(normed)\n    return normed\n"), both);
  CheckLeftAlone(Block(kBoth), {{"a", kScales}});  // b is not smoothed
  CheckLeftAlone(Block(kBoth), {{"a", kScales}, {"b", kOtherScales}});
  torch::jit::Module two = Block(kBoth);  // a second method that uses the norm's output otherwise
  two.define("def other(self, x: Tensor) -> Tensor:\n    return self.norm.forward(x) * 2\n");
  CheckLeftAlone(two, both);
}

TEST_CASE("Scales that would leave float32 too few digits are not folded") {
  const std::vector<float> large = {2, 0.5, 1000};
  CheckLeftAlone(Block(kBoth), {{"a", large}, {"b", large}});
}

}  // namespace vlaserve
