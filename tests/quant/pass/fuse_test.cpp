// Fusion of integer linears with norms, gated MLPs and residuals.
#include "quant/pass/fuse.h"

#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>

#include "quant/engine/make_engine.h"
#include "quant/pack/packer.h"
#include "quant/pass/check_fusions.h"
#include "quant/pass/lower.h"
#include "tests/support/catch.h"
#include "tests/support/matchers.h"

namespace vlaserve {
namespace {

constexpr int64_t kWidth = 64;
constexpr int64_t kHidden = 160;

using Settings = std::map<std::string, LayerSettings>;

at::Tensor Normal(at::IntArrayRef shape, uint64_t seed, double deviation = 1) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  return at::randn(shape, generator, at::kFloat) * deviation;
}

void AddLinear(torch::jit::Module& module, const std::string& name, int64_t out, int64_t in,
               uint64_t seed, at::ScalarType dtype) {
  torch::jit::Module linear("Linear_" + name);
  linear.register_parameter("weight", Normal({out, in}, seed, 0.2).to(dtype), false);
  linear.define(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    return torch.linear(x, self.weight, None)\n");
  module.register_module(name, linear);
}

constexpr const char* kNorm =
    "def norm(self, x: Tensor) -> Tensor:\n"
    "    wide = x.to(6)\n"
    "    normed = wide * torch.rsqrt(torch.mean(wide * wide, [-1], True) + self.eps)\n"
    "    return (normed * (1.0 + self.scale.to(6))).to(x.dtype)\n"
    "def adaptive_norm(self, x: Tensor, rows: Tensor) -> Tuple[Tensor, Tensor]:\n"
    "    parts = rows.unsqueeze(1).chunk(3, 2)\n"
    "    wide = x.to(6)\n"
    "    normed = wide * torch.rsqrt(torch.mean(wide * wide, [-1], True) + self.eps)\n"
    "    return (normed * (1.0 + parts[0]) + parts[1]).to(x.dtype), parts[2].to(x.dtype)\n";

// A block of all that the models have, with `code` for its method forward.
torch::jit::Module Block(const std::string& code, at::ScalarType dtype = at::kFloat) {
  torch::jit::Module module("Block");
  module.register_parameter("scale", Normal({kWidth}, 21, 0.3), false);
  module.register_attribute("eps", c10::FloatType::get(), 1e-6);
  AddLinear(module, "q_proj", kWidth, kWidth, 1, dtype);
  AddLinear(module, "k_proj", 32, kWidth, 2, dtype);
  AddLinear(module, "v_proj", 32, kWidth, 3, dtype);
  AddLinear(module, "o_proj", kWidth, kWidth, 4, dtype);
  AddLinear(module, "gate_proj", kHidden, kWidth, 5, dtype);
  AddLinear(module, "up_proj", kHidden, kWidth, 6, dtype);
  AddLinear(module, "down_proj", kWidth, kHidden, 7, dtype);
  module.define(kNorm);
  module.define(code);
  return module;
}

constexpr const char* kDecoder =
    "def forward(self, x: Tensor) -> Tensor:\n"
    "    normed = self.norm(x)\n"
    "    k = self.k_proj.forward(normed)\n"
    "    v = self.v_proj.forward(normed)\n"
    "    q = self.q_proj.forward(normed)\n"
    "    mixed = torch.cat([k, v], 2) * q.view([normed.size(0), normed.size(1), -1])\n"
    "    x = x + self.o_proj.forward(mixed)\n"
    "    inner = self.norm(x)\n"
    "    gate = torch.gelu(self.gate_proj.forward(inner), approximate=\"tanh\")\n"
    "    return x + self.down_proj.forward(gate * self.up_proj.forward(inner))\n";

constexpr const char* kAdaptive =
    "def forward(self, x: Tensor) -> Tensor:\n"
    "    rows = torch.cat([x.select(1, 0), x.select(1, 1), x.select(1, 2)], 1).to(6)\n"
    "    normed, branch = self.adaptive_norm(x, rows)\n"
    "    x = x + self.o_proj.forward(self.q_proj.forward(normed)) * branch\n"
    "    inner, branch = self.adaptive_norm(x, rows)\n"
    "    gate = torch.gelu(self.gate_proj.forward(inner), approximate=\"tanh\")\n"
    "    return x + self.down_proj.forward(gate * self.up_proj.forward(inner)) * branch\n";

struct Lowered {
  torch::jit::Module module;
  std::map<std::string, const IntLayer*> layers;
};

// All linears on the integer engine; `settings` by name, "" for the others.
Lowered Lower(torch::jit::Module module, Settings settings) {
  Lowered lowered{std::move(module), {}};
  auto linears = FindLinears(lowered.module);
  INFO(linears.status().message());
  REQUIRE(linears.ok());
  std::map<std::string, std::unique_ptr<LinearEngine>> engines;
  for (const GraphLinear& linear : *linears) {
    const at::Tensor weight = linear.weight.to(at::kFloat).contiguous();
    PackRequest request;
    request.name = linear.name;
    request.weight = {weight.const_data_ptr<float>(), static_cast<size_t>(weight.numel())};
    request.out_features = weight.size(0);
    request.in_features = weight.size(1);
    request.settings = settings.contains(linear.name) ? settings[linear.name] : settings[""];
    auto contents = BuildPack(request);
    INFO(contents.status().message());
    REQUIRE(contents.ok());
    EngineInputs inputs;
    inputs.name = linear.name;
    inputs.pack = ViewOf(*std::move(contents));
    inputs.settings = request.settings;
    inputs.bias = linear.bias;
    auto engine = MakeEngine(Engine::kInt, inputs);
    INFO(engine.status().message());
    REQUIRE(engine.ok());
    lowered.layers[linear.name] = (*engine)->int_layer();
    engines[linear.name] = *std::move(engine);
  }
  const auto as_stored = [](const std::string&, at::ScalarType stored) { return stored; };
  const auto report = LowerLinears(lowered.module, std::move(engines), as_stored);
  INFO(report.status().message());
  REQUIRE(report.ok());
  return lowered;
}

LayerSettings DefaultSettings() {
  LayerSettings settings;
  settings.transform.block = 32;
  return settings;
}

const std::set<Fusion> kEverything(kAllFusions.begin(), kAllFusions.end());

std::vector<FusionCount> Fuse(Lowered& lowered, const std::set<Fusion>& wanted = kEverything) {
  auto counts = FuseLinears(lowered.module, wanted);
  INFO(counts.status().message());
  REQUIRE(counts.ok());
  REQUIRE(counts->size() == kAllFusions.size());
  return *std::move(counts);
}

at::Tensor Run(Lowered& lowered, const at::Tensor& x) {
  return lowered.module.get_method("forward")({x}).toTensor();
}

// "fused of possible" for each fusion.
std::vector<std::string> Text(const std::vector<FusionCount>& counts) {
  std::vector<std::string> text;
  text.reserve(counts.size());
  for (const FusionCount& count : counts) {
    text.push_back(std::to_string(count.fused) + " of " + std::to_string(count.possible));
  }
  return text;
}

bool HasOperator(const Lowered& lowered, const std::string& name) {
  return lowered.module.get_method("forward").graph()->toString().find("vlaserve::" + name + "(") !=
         std::string::npos;
}

double RelativeDifference(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).abs().max() / b.abs().max()).item<double>();
}

// Quantization turns a rounding of its input into at most one step of a code here and there.
constexpr double kRounding = 5e-3;

}  // namespace

TEST_CASE("A decoder block is fused at every place and gives the same numbers") {
  const at::Tensor x = Normal({2, 9, kWidth}, 33);
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    Lowered apart = Lower(Block(kDecoder, dtype), {{"", DefaultSettings()}});
    Lowered fused = Lower(Block(kDecoder, dtype), {{"", DefaultSettings()}});
    const std::vector<FusionCount> counts = Fuse(fused);
    CHECK(Text(counts) == std::vector<std::string>{"2 of 2", "2 of 2", "1 of 1", "2 of 2"});
    CHECK(counts[0].layers ==
          std::set<std::string>{"gate_proj", "k_proj", "q_proj", "up_proj", "v_proj"});
    CHECK(counts[2].layers == std::set<std::string>{"down_proj", "gate_proj", "up_proj"});
    CHECK(MissingFusions(fused.layers, kEverything, counts).empty());
    CHECK(!HasOperator(fused, "linear"));
    CHECK(HasOperator(fused, "quantized_linears"));
    const at::Tensor expected = Run(apart, x.to(dtype));
    const at::Tensor found = Run(fused, x.to(dtype));
    CHECK(found.scalar_type() == dtype);
    CHECK(found.sizes() == expected.sizes());
    const double tolerance = dtype == at::kFloat ? kRounding : 3e-2;
    CHECK(RelativeDifference(found.to(at::kFloat), expected.to(at::kFloat)) < tolerance);
  }
}

TEST_CASE("Adaptive norms and gated residuals are fused, with one modulation per batch element") {
  const at::Tensor x = Normal({3, 5, kWidth}, 34);
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    Lowered apart = Lower(Block(kAdaptive, dtype), {{"", DefaultSettings()}});
    Lowered fused = Lower(Block(kAdaptive, dtype), {{"", DefaultSettings()}});
    CHECK(Text(Fuse(fused)) == std::vector<std::string>{"1 of 1", "2 of 2", "1 of 1", "2 of 2"});
    CHECK(HasOperator(fused, "quantized_linear_add"));
    const at::Tensor expected = Run(apart, x.to(dtype)).to(at::kFloat);
    const double tolerance = dtype == at::kFloat ? kRounding : 3e-2;
    CHECK(RelativeDifference(Run(fused, x.to(dtype)).to(at::kFloat), expected) < tolerance);
  }
}

TEST_CASE("Fused blocks give the same bytes with any number of threads") {
  const at::Tensor x = Normal({1, 51, kWidth}, 39);
  const int threads = at::get_num_threads();
  for (const char* code : {kDecoder, kAdaptive}) {
    Lowered fused = Lower(Block(code), {{"", DefaultSettings()}});
    Fuse(fused);
    at::set_num_threads(1);
    const at::Tensor expected = Run(fused, x);
    for (const int count : {2, 3, 7}) {
      at::set_num_threads(count);
      CHECK(at::equal(Run(fused, x), expected));
    }
  }
  at::set_num_threads(threads);
}

TEST_CASE("Each fusion can be had alone") {
  const at::Tensor x = Normal({1, 7, kWidth}, 35);
  Lowered apart = Lower(Block(kDecoder), {{"", DefaultSettings()}});
  const at::Tensor expected = Run(apart, x);
  const std::map<std::set<Fusion>, std::vector<std::string>> cases = {
      {{}, {"0 of 0", "0 of 0", "0 of 0", "0 of 0"}},
      {{Fusion::kSharedInput}, {"2 of 2", "0 of 0", "0 of 0", "0 of 0"}},
      // Without shared codes a norm would be computed once for each of its readers.
      {{Fusion::kNorm}, {"0 of 0", "0 of 2", "0 of 0", "0 of 0"}},
      {{Fusion::kSharedInput, Fusion::kNorm}, {"2 of 2", "2 of 2", "0 of 0", "0 of 0"}},
      {{Fusion::kGatedMlp}, {"0 of 0", "0 of 0", "0 of 1", "0 of 0"}},
      {{Fusion::kSharedInput, Fusion::kGatedMlp}, {"2 of 2", "0 of 0", "1 of 1", "0 of 0"}},
      {{Fusion::kResidual}, {"0 of 0", "0 of 0", "0 of 0", "2 of 2"}}};
  for (const auto& [wanted, text] : cases) {
    Lowered fused = Lower(Block(kDecoder), {{"", DefaultSettings()}});
    CHECK(Text(Fuse(fused, wanted)) == text);
    CHECK(RelativeDifference(Run(fused, x), expected) < kRounding);
  }
}

TEST_CASE("Linears whose transforms differ quantize on their own") {
  LayerSettings plain = DefaultSettings();
  plain.transform.rotate_in = RotateIn::kOff;
  const Settings settings = {{"", DefaultSettings()}, {"k_proj", plain}, {"up_proj", plain}};
  Lowered apart = Lower(Block(kDecoder), settings);
  Lowered fused = Lower(Block(kDecoder), settings);
  // q and v share; k, and gate and up, do not.
  const std::vector<FusionCount> counts = Fuse(fused);
  CHECK(Text(counts) == std::vector<std::string>{"1 of 2", "0 of 2", "0 of 1", "2 of 2"});
  // That is as it must be: nothing is missing.
  CHECK(MissingFusions(fused.layers, kEverything, counts).empty());
  const at::Tensor x = Normal({1, 4, kWidth}, 36);
  CHECK(RelativeDifference(Run(fused, x), Run(apart, x)) < kRounding);
}

TEST_CASE("A permutation in front of the down projection keeps the MLP apart") {
  LayerSettings permuted = DefaultSettings();
  permuted.transform.permute = Permute::kWeightZigzag;
  Lowered fused = Lower(Block(kDecoder), {{"", DefaultSettings()}, {"down_proj", permuted}});
  const std::vector<FusionCount> counts = Fuse(fused);
  CHECK(Text(counts) == std::vector<std::string>{"2 of 2", "2 of 2", "0 of 1", "2 of 2"});
  CHECK(MissingFusions(fused.layers, kEverything, counts).empty());
}

TEST_CASE("What looks like a pattern and is none stays apart and right") {
  const std::map<std::string, std::vector<std::string>> cases = {
      // The normed numbers are read by somebody else.
      {"    normed = self.norm(x)\n"
       "    return self.o_proj.forward(normed) + normed.sum()\n",
       {"0 of 0", "0 of 1", "0 of 0", "1 of 1"}},
      // The input changes between the two linears.
      {"    y = x + 1\n"
       "    q = self.q_proj.forward(y)\n"
       "    y.mul_(2)\n"
       "    return q * self.o_proj.forward(y)\n",
       {"0 of 1", "0 of 0", "0 of 0", "0 of 0"}},
      // What is added to has another shape, and another dtype.
      {"    return self.q_proj.forward(x) + x.select(1, 0).unsqueeze(1).to(7)\n",
       {"0 of 0", "0 of 0", "0 of 0", "1 of 1"}},
      // The linear's output is read twice.
      {"    q = self.q_proj.forward(x)\n"
       "    return x + q * q\n",
       {"0 of 0", "0 of 0", "0 of 0", "0 of 0"}},
      // Twice what is added.
      {"    return torch.add(x, self.q_proj.forward(x), alpha=2)\n",
       {"0 of 0", "0 of 0", "0 of 0", "0 of 0"}},
      // Computed once, added in every round.
      {"    q = self.q_proj.forward(x)\n"
       "    for i in range(3):\n"
       "        x = x + q\n"
       "    return x\n",
       {"0 of 0", "0 of 0", "0 of 0", "0 of 0"}},
      // The exact GELU is another function.
      {"    gate = torch.gelu(self.gate_proj.forward(x))\n"
       "    return self.down_proj.forward(gate * self.up_proj.forward(x))\n",
       {"1 of 1", "0 of 0", "0 of 0", "0 of 0"}},
      // gelu(gate) is wanted elsewhere.
      {"    gate = torch.gelu(self.gate_proj.forward(x), approximate=\"tanh\")\n"
       "    return self.down_proj.forward(gate * self.up_proj.forward(x)) + gate.sum()\n",
       {"1 of 1", "0 of 0", "0 of 1", "1 of 1"}},
      // One of three is behind a condition.
      {"    normed = self.norm(x)\n"
       "    k = self.k_proj.forward(normed)\n"
       "    v = self.v_proj.forward(normed)\n"
       "    y = torch.cat([k, v], 2)\n"
       "    if x.size(0) > 0:\n"
       "        y = y * self.q_proj.forward(normed)\n"
       "    return y\n",
       {"1 of 1", "1 of 1", "0 of 0", "0 of 0"}}};
  const at::Tensor x = Normal({2, 3, kWidth}, 37);
  for (const auto& [body, text] : cases) {
    INFO(body);
    const std::string code = "def forward(self, x: Tensor) -> Tensor:\n" + body;
    Lowered apart = Lower(Block(code), {{"", DefaultSettings()}});
    Lowered fused = Lower(Block(code), {{"", DefaultSettings()}});
    CHECK(Text(Fuse(fused)) == text);
    const at::Tensor expected = Run(apart, x.clone());
    const at::Tensor found = Run(fused, x.clone());
    CHECK(found.scalar_type() == expected.scalar_type());
    CHECK(RelativeDifference(found, expected) < kRounding);
  }
}

TEST_CASE("A model's block whose linears could be fused and were not is reported by name") {
  const std::string code =
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    y = x + 1\n"
      "    k = self.attn.k_proj.forward(y)\n"
      "    y.add_(1)\n"
      "    v = self.attn.v_proj.forward(y)\n"
      "    return torch.cat([k, v], 2) * self.attn.q_proj.forward(y + 1)\n";
  torch::jit::Module attention("Attention");
  AddLinear(attention, "q_proj", kWidth, kWidth, 1, at::kFloat);
  AddLinear(attention, "k_proj", 32, kWidth, 2, at::kFloat);
  AddLinear(attention, "v_proj", 32, kWidth, 3, at::kFloat);
  torch::jit::Module root("Root");
  root.register_module("attn", attention);
  root.define(code);
  Lowered fused = Lower(root, {{"", DefaultSettings()}});
  const std::vector<FusionCount> counts = Fuse(fused);
  CHECK(MissingFusions(fused.layers, kEverything, counts) ==
        std::vector<std::string>{"attn: q, k and v do not share their input"});
  CHECK(MissingFusions(fused.layers, {Fusion::kNorm}, counts).empty());
}

TEST_CASE("NaN in what a fused norm reads is an error that names the layer and the row") {
  Lowered fused = Lower(Block(kDecoder), {{"", DefaultSettings()}});
  Fuse(fused);
  at::Tensor x = Normal({1, 6, kWidth}, 38);
  x[0][4][63] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_WITH(Run(fused, x), ContainsText("input row 4 holds NaN or Inf"));
}

}  // namespace vlaserve
