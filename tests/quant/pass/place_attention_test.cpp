#include "quant/pass/place_attention.h"

#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/ir.h>

#include "tests/support/catch.h"

namespace vlaserve {
namespace {

at::Tensor Normal(at::IntArrayRef shape, uint64_t seed, at::ScalarType dtype = at::kFloat) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  return at::randn(shape, generator, at::kFloat).to(dtype);
}

constexpr const char* kSharedRows =
    "def shared_rows(self, buffer: Tensor, end: int, heads: int) -> Tensor:\n"
    "    rows = buffer.narrow(2, 0, end).unsqueeze(2)\n"
    "    rows = rows.expand([-1, -1, heads // buffer.size(1), -1, -1])\n"
    "    return rows.reshape([buffer.size(0), heads, end, buffer.size(3)])\n";

// A root module with one method `forward(q, keys, values, bias)` of this body, behind a call.
torch::jit::Module Root(const std::string& body) {
  torch::jit::Module inner("Inner");
  inner.define(kSharedRows);
  inner.define(
      "def forward(self, q: Tensor, keys: Tensor, values: Tensor,\n"
      "            bias: Optional[Tensor]) -> Tensor:\n" +
      body);
  torch::jit::Module root("Root");
  root.register_module("inner", inner);
  root.define(
      "def forward(self, q: Tensor, keys: Tensor, values: Tensor,\n"
      "            bias: Optional[Tensor]) -> Tensor:\n"
      "    return self.inner.forward(q, keys, values, bias)\n");
  return root;
}

const std::string kGemma =
    "    end = keys.size(2) - 3\n"
    "    heads = q.size(1)\n"
    "    cast: Optional[Tensor] = None\n"
    "    if bias is not None:\n"
    "        cast = bias.to(q.dtype)\n"
    "    mixed = torch.scaled_dot_product_attention(\n"
    "        q, self.shared_rows(keys, end, heads), self.shared_rows(values, end, heads), cast)\n"
    "    return mixed.transpose(1, 2).reshape([q.size(0), q.size(2), -1]) * 2.0\n";

const std::string kSiglip =
    "    mixed = torch.scaled_dot_product_attention(q, keys, values)\n"
    "    return mixed.transpose(1, 2).reshape([q.size(0), q.size(2), q.size(1) * q.size(3)])\n";

int64_t CountOf(torch::jit::Block& block, const std::string& kind) {
  int64_t count = 0;
  for (torch::jit::Node* node : block.nodes()) {
    if (node->kind() == c10::Symbol::fromQualString(kind)) ++count;
    for (torch::jit::Block* inner : node->blocks()) count += CountOf(*inner, kind);
  }
  return count;
}

int64_t CountOf(const torch::jit::Module& module, const std::string& kind) {
  return CountOf(*module.get_method("forward").graph()->block(), kind);
}

AttentionPlaces Place(const torch::jit::Module& module) {
  const Result<AttentionPlaces> places = PlaceAttention(module);
  INFO(places.status().message());
  REQUIRE(places.ok());
  return *places;
}

struct Inputs {
  at::Tensor q, keys, values;
  c10::IValue bias;
};

Inputs GemmaInputs(int64_t kv_heads, at::ScalarType dtype, bool with_bias) {
  Inputs inputs{Normal({2, 4, 5, 16}, 1, dtype), Normal({2, kv_heads, 12, 16}, 2, dtype),
                Normal({2, kv_heads, 12, 16}, 3, dtype), c10::IValue()};
  if (with_bias) {
    at::Tensor bias = Normal({2, 1, 5, 9}, 4);
    bias.select(3, 2).fill_(-2.3819763e38);
    inputs.bias = bias;
  }
  return inputs;
}

at::Tensor Run(torch::jit::Module& module, const Inputs& inputs) {
  return module.forward({inputs.q, inputs.keys, inputs.values, inputs.bias}).toTensor();
}

double Difference(const at::Tensor& a, const at::Tensor& b) {
  REQUIRE(a.sizes() == b.sizes());
  REQUIRE(a.scalar_type() == b.scalar_type());
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

void CheckStaysAsItIs(const std::string& body) {
  INFO(body);
  torch::jit::Module module = Root(body);
  const AttentionPlaces places = Place(module);
  CHECK(places.placed == 0);
  CHECK(places.possible == 1);
  CHECK(CountOf(module, "vlaserve::attention") == 0);
}

}  // namespace

TEST_CASE("attention over buffers: our operator reads the buffers without the repeated heads") {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    for (const int64_t kv_heads : {1, 2, 4}) {
      for (const bool with_bias : {false, true}) {
        INFO(dtype << ", " << kv_heads << " KV heads, bias " << with_bias);
        const Inputs inputs = GemmaInputs(kv_heads, dtype, with_bias);
        torch::jit::Module module = Root(kGemma);
        const at::Tensor expected = Run(module, inputs);
        const AttentionPlaces places = Place(module);
        CHECK(places.placed == 1);
        CHECK(places.possible == 1);
        CHECK(CountOf(module, "vlaserve::attention") == 1);
        CHECK(CountOf(module, "aten::scaled_dot_product_attention") == 0);
        CHECK(CountOf(module, "aten::expand") == 0);
        const at::Tensor result = Run(module, inputs);
        CHECK(Difference(result, expected) < (dtype == at::kFloat ? 1e-5 : 5e-2));
      }
    }
  }
}

TEST_CASE("attention of split heads") {
  const Inputs inputs{Normal({2, 9, 3, 8}, 1).transpose(1, 2),
                      Normal({2, 9, 3, 8}, 2).transpose(1, 2),
                      Normal({2, 9, 3, 8}, 3).transpose(1, 2), c10::IValue()};
  torch::jit::Module module = Root(kSiglip);
  const at::Tensor expected = Run(module, inputs);
  CHECK(Place(module).placed == 1);
  CHECK(CountOf(module, "vlaserve::attention") == 1);
  CHECK(Difference(Run(module, inputs), expected) < 1e-5);
}

TEST_CASE("all places of all methods are counted") {
  torch::jit::Module module("Root");
  module.define(
      "def one(self, q: Tensor) -> Tensor:\n"
      "    mixed = torch.scaled_dot_product_attention(q, q, q)\n"
      "    return mixed.transpose(1, 2).reshape([q.size(0), q.size(2), -1])\n"
      "def two(self, q: Tensor, rounds: int) -> Tensor:\n"
      "    x = self.one(q)\n"
      "    for i in range(rounds):\n"
      "        if i > 0:\n"
      "            x = x + self.one(q)\n"
      "    return x + torch.scaled_dot_product_attention(q, q, q).sum()\n"
      "def none(self, q: Tensor) -> Tensor:\n"
      "    return q + 1.0\n");
  const at::Tensor q = Normal({1, 2, 6, 8}, 1);
  const at::Tensor expected = module.run_method("two", q, 3).toTensor();
  const AttentionPlaces places = Place(module);
  CHECK(places.placed == 3);
  CHECK(places.possible == 4);
  CHECK(Difference(module.run_method("two", q, 3).toTensor(), expected) < 1e-4);
  CHECK(module.run_method("none", q).toTensor().equal(q + 1.0));
}

TEST_CASE("attention that computes something else stays as it is") {
  const std::string behind =
      "\n    return mixed.transpose(1, 2).reshape([q.size(0), q.size(2), -1])\n";
  const std::string call = "    mixed = torch.scaled_dot_product_attention(q, keys, values, bias";
  CheckStaysAsItIs(call + ", 0.5)" + behind);
  CheckStaysAsItIs(call + ", 0.0, True)" + behind);
  CheckStaysAsItIs(call + ", 0.0, q.size(0) == 1)" + behind);
  CheckStaysAsItIs(call + ", scale=0.5)" + behind);
  CheckStaysAsItIs(call + ", enable_gqa=True)" + behind);
  CheckStaysAsItIs(call + ")\n    return mixed\n");
  CheckStaysAsItIs(call +
                   ")\n    return mixed.transpose(1, 3).reshape([q.size(0), q.size(3), -1])\n");
  CheckStaysAsItIs(call + ")\n    return mixed.transpose(1, 2)\n");
  CheckStaysAsItIs(call +
                   ")\n    return mixed.transpose(1, 2).reshape([-1]) + mixed.transpose(1, 2)"
                   ".reshape([-1])\n");
  CheckStaysAsItIs(call + ")\n    mixed.mul_(2.0)" + behind);
  CheckStaysAsItIs(call + ")\n    values.mul_(2.0)" + behind);
}

TEST_CASE("repeated heads are not looked through where the buffer changes before it is read") {
  const std::string body =
      "    end = keys.size(2) - 3\n"
      "    heads = q.size(1)\n"
      "    repeated = self.shared_rows(keys, end, heads)\n"
      "    keys.mul_(0.5)\n"
      "    mixed = torch.scaled_dot_product_attention(\n"
      "        q, repeated, self.shared_rows(values, end, heads))\n"
      "    return mixed.transpose(1, 2).reshape([q.size(0), q.size(2), -1])\n";
  torch::jit::Module module = Root(body);
  const at::Tensor expected = Run(module, GemmaInputs(2, at::kFloat, false));
  CHECK(Place(module).placed == 1);
  CHECK(CountOf(module, "aten::expand") == 2);
  CHECK(Difference(Run(module, GemmaInputs(2, at::kFloat, false)), expected) < 1e-5);
}

TEST_CASE("heads that are repeated in another order are not looked through") {
  const std::string body =
      "    end = keys.size(2) - 3\n"
      "    heads = q.size(1)\n"
      "    rows = keys.narrow(2, 0, end).unsqueeze(1)\n"
      "    rows = rows.expand([-1, heads // keys.size(1), -1, -1, -1])\n"
      "    repeated = rows.reshape([keys.size(0), heads, end, keys.size(3)])\n"
      "    mixed = torch.scaled_dot_product_attention(\n"
      "        q, repeated, self.shared_rows(values, end, heads))\n"
      "    return mixed.transpose(1, 2).reshape([q.size(0), q.size(2), -1])\n";
  const Inputs inputs = GemmaInputs(4, at::kFloat, false);
  torch::jit::Module module = Root(body);
  const at::Tensor expected = Run(module, inputs);
  CHECK(Place(module).placed == 1);
  CHECK(CountOf(module, "aten::expand") == 2);
  CHECK(Difference(Run(module, inputs), expected) < 1e-5);
}

}  // namespace vlaserve
