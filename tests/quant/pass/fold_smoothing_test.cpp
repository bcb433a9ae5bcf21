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

torch::jit::Module Dense(double first) {
  torch::jit::Module module("Float32Linear");
  module.register_parameter("weight", at::sin(at::arange(18, at::kFloat) + first).reshape({9, 2}),
                            false);
  module.register_parameter("bias", at::cos(at::arange(9, at::kFloat) + first), false);
  module.define(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    return torch.linear(x, self.weight.to(6), self.bias.to(6))\n");
  return module;
}

// Where a test case differs from π0.5's expert.
struct AdaptiveCode {
  std::string first_row = "rows.select(1, 0)";
  std::string read = "first[1]";
  std::string more_methods = {};
};

// Two adaptive norms with the rows that `table` gives for times or with those of `condition`. The
// linears a and b read the first; the second norm and both gates are seen from outside.
torch::jit::Module AdaptiveBlock(const AdaptiveCode& code = {}) {
  torch::jit::Module norm("Norm");
  norm.define(
      "def forward(self, x: Tensor, row: Tensor) -> Tuple[Tensor, Tensor]:\n"
      "    parts = row.unsqueeze(1).chunk(3, 2)\n"
      "    wide = x.to(6)\n"
      "    normed = wide * torch.rsqrt(torch.mean(wide * wide, [-1], True) + 1e-6)\n"
      "    return (normed * (1.0 + parts[0]) + parts[1]).to(x.dtype), parts[2].to(x.dtype)\n");
  torch::jit::Module block("Block");
  block.register_module("dense0", Dense(0));
  block.register_module("dense1", Dense(4));
  block.register_module("norm", norm);
  block.register_module("a", Linear(1));
  block.register_module("b", Linear(-3));
  block.define(
      "def table(self, times: Tensor) -> Tensor:\n"
      "    rows: List[Tensor] = []\n"
      "    rows.append(self.dense0.forward(times))\n"
      "    rows.append(self.dense1.forward(times))\n"
      "    return torch.stack(rows, 1)\n"
      "def run(self, x: Tensor, time: Tensor, condition: Optional[Tensor]) -> List[Tensor]:\n"
      "    if condition is None:\n"
      "        rows = self.table(time)\n"
      "    else:\n"
      "        rows = condition\n"
      "    first = self.norm.forward(x, " +
      code.first_row +
      ")\n"
      "    second = self.norm.forward(x, rows.select(1, 1))\n"
      "    return [self.a.forward(first[0]), self.b.forward(first[0]), " +
      code.read + ", second[0], second[1]]\n" + code.more_methods);
  return block;
}

const at::Tensor kTimes = at::tensor({0.5F, -1.0F, 2.0F, 0.75F}).reshape({2, 2});

std::vector<at::Tensor> RunAdaptive(torch::jit::Module& block, const c10::IValue& condition) {
  const at::Tensor x = at::tensor({1.0F, -2.0F, 0.5F, 3.0F, 0.25F, -1.0F}).reshape({2, 1, 3});
  return block.get_method("run")({x, kTimes, condition}).toTensorVector();
}

at::Tensor Table(torch::jit::Module& block) {
  return block.get_method("table")({kTimes}).toTensor();
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

TEST_CASE("A norm in front of a linear that elsewhere reads something else is left alone") {
  torch::jit::Module block = Block(kBoth);
  block.define("def raw(self, x: Tensor) -> Tensor:\n    return self.a.forward(x)\n");
  CheckLeftAlone(block, {{"a", kScales}, {"b", kScales}});
}

TEST_CASE("An adaptive norm divides, with the step table and without it") {
  torch::jit::Module plain = AdaptiveBlock();
  const std::vector<at::Tensor> expected = RunAdaptive(plain, {});
  torch::jit::Module block = AdaptiveBlock();
  REQUIRE(Fold(block, {{"a", kScales}, {"b", kScales}}) == Names{"a", "b"});
  // What the packs of a and b hold.
  for (const char* name : {"a", "b"}) {
    block.attr(name).toModule().attr("weight").toTensor().mul_(at::tensor(kScales));
  }
  for (const c10::IValue& condition : {c10::IValue(), c10::IValue(Table(block))}) {
    const std::vector<at::Tensor> found = RunAdaptive(block, condition);
    REQUIRE(found.size() == expected.size());
    for (size_t i = 0; i < found.size(); ++i) {
      INFO(i);
      CHECK((found[i] - expected[i]).abs().max().item<float>() < 1e-4F);
    }
  }
  // (1 + scale) / s - 1, shift / s and the gate of the first norm; the second norm's row stays.
  const at::Tensor scales = at::tensor(kScales);
  const std::vector<at::Tensor> before = Table(plain).select(1, 0).chunk(3, 1);
  const std::vector<at::Tensor> rows = Table(block).select(1, 0).chunk(3, 1);
  CHECK(at::allclose(rows[0], (1 + before[0]) / scales - 1, 1e-5, 1e-6));
  CHECK(at::allclose(rows[1], before[1] / scales, 1e-5, 1e-6));
  CHECK(at::equal(rows[2], before[2]));
  CHECK(at::equal(Table(block).select(1, 1), Table(plain).select(1, 1)));
}

TEST_CASE("An adaptive norm whose scale, shift or table somebody else reads is left alone") {
  const Scales both = {{"a", kScales}, {"b", kScales}};
  const std::vector<float> large = {2, 0.5, 300};
  const std::vector<std::pair<AdaptiveCode, Scales>> cases = {
      {{.read = "first[0]"}, both},
      {{.read = "rows"}, both},
      {{.read = "rows.select(1, 0).chunk(3, 1)[1]"}, both},
      {{.read = "rows.select(0, 0)"}, both},
      {{.first_row = "rows.select(1, x.size(1) - 1)"}, both},
      {{.first_row = "rows.select(1, 1)"}, both},  // then `second` reads the same row
      {{.read = "self.dense0.forward(time)"}, both},
      {{.more_methods = "def raw(self, x: Tensor) -> Tensor:\n    return self.b.forward(x)\n"},
       both},
      {{}, {{"a", kScales}}},
      {{}, {{"a", kScales}, {"b", kOtherScales}}},
      {{}, {{"a", large}, {"b", large}}},
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    INFO(i);
    torch::jit::Module block = AdaptiveBlock(cases[i].first);
    const at::Tensor before = Table(block);
    CHECK(Fold(block, cases[i].second).empty());
    CHECK(at::equal(Table(block), before));
  }
}

TEST_CASE("Scales that would leave float32 too few digits are not folded") {
  const std::vector<float> large = {2, 0.5, 1000};
  CheckLeftAlone(Block(kBoth), {{"a", large}, {"b", large}});
}

}  // namespace vlaserve
