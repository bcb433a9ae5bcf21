// The engines int and fake.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "kernels/int_linear.h"
#include "kernels/quantize.h"
#include "quant/engine/activations.h"
#include "quant/engine/fake_engine.h"
#include "quant/engine/make_engine.h"
#include "quant/pack/packer.h"
#include "tests/quant/pack/row_major.h"
#include "tests/support/catch.h"
#include "tests/support/matchers.h"

namespace vlaserve {
namespace {

// The same numbers on every machine, roughly normal, with some large columns.
at::Tensor Numbers(int64_t rows, int64_t columns, uint32_t seed) {
  at::Tensor numbers = at::empty({rows, columns}, at::kFloat);
  float* data = numbers.mutable_data_ptr<float>();
  uint32_t state = seed * 2654435761U + 1U;
  for (int64_t i = 0; i < numbers.numel(); ++i) {
    float sum = 0;
    for (int j = 0; j < 4; ++j) {
      state = state * 1664525U + 1013904223U;
      sum += static_cast<float>(state >> 8U) / 16777216.0F - 0.5F;
    }
    data[i] = sum * (i % columns % 37 == 5 ? 12.0F : 1.0F);
  }
  return numbers;
}

struct Layer {
  at::Tensor weight;
  at::Tensor bias;
  LayerSettings settings;
  PackedLayer pack;
};

Layer MakeLayer(int64_t out, int64_t in, const LayerSettings& settings, bool bias = true,
                const std::vector<float>& smooth = {}) {
  Layer layer{
      Numbers(out, in, 1), bias ? Numbers(1, out, 2).reshape({out}) : at::Tensor(), settings, {}};
  PackRequest request;
  request.name = "layer";
  request.weight = {layer.weight.const_data_ptr<float>(),
                    static_cast<size_t>(layer.weight.numel())};
  request.out_features = out;
  request.in_features = in;
  request.settings = settings;
  request.smooth = smooth;
  Result<PackContents> contents = BuildPack(request);
  INFO(contents.status().message());
  REQUIRE(contents.ok());
  layer.pack = ViewOf(*std::move(contents));
  return layer;
}

EngineInputs InputsFor(const Layer& layer) {
  EngineInputs inputs;
  inputs.name = "llm.layers.7.q_proj";
  inputs.pack = layer.pack;
  inputs.settings = layer.settings;
  inputs.bias = layer.bias;
  return inputs;
}

std::unique_ptr<LinearEngine> Make(Engine engine, const Layer& layer) {
  auto made = MakeEngine(engine, InputsFor(layer));
  INFO(made.status().message());
  REQUIRE(made.ok());
  return *std::move(made);
}

double RelativeDifference(const at::Tensor& a, const at::Tensor& b) {
  const double scale = b.abs().max().item<double>();
  return (a - b).abs().max().item<double>() / (scale > 0 ? scale : 1);
}

// Squared error over squared signal.
double Nmse(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).square().sum() / b.square().sum()).item<double>();
}

bool SameBytes(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && at::equal(a, b);
}

LayerSettings Settings(int64_t bits, int64_t group, ActivationMode mode, RotateIn rotate_in,
                       int64_t block) {
  LayerSettings settings;
  settings.weight = {.bits = bits, .group = group};
  settings.activation.mode = mode;
  settings.transform.rotate_in = rotate_in;
  settings.transform.block = block;
  return settings;
}

struct Case {
  std::string name;
  LayerSettings settings;
};

// What both engines can run.
std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const int64_t bits : {2, 3, 4, 5, 8}) {
    for (const int64_t group : {0, 32, 128}) {
      for (const ActivationMode mode :
           {ActivationMode::kDynamicToken, ActivationMode::kDynamicTokenGroup}) {
        std::string name = std::to_string(bits);
        name += " bits, groups of " + std::to_string(group);
        name += mode == ActivationMode::kDynamicToken ? ", per token" : ", per token group";
        cases.push_back({name, Settings(bits, group, mode, RotateIn::kHadamard, 16)});
      }
    }
  }
  for (const RotateIn rotate : {RotateIn::kOff, RotateIn::kWeightSvd, RotateIn::kSvdHadamard}) {
    for (const RotateOut out : {RotateOut::kOff, RotateOut::kRestore}) {
      LayerSettings settings = Settings(4, 0, ActivationMode::kDynamicToken, rotate, 16);
      settings.transform.permute = out == RotateOut::kOff ? Permute::kOff : Permute::kWeightZigzag;
      settings.transform.rotate_out = out;
      cases.push_back({"rotation " + std::to_string(static_cast<int>(rotate)) +
                           (out == RotateOut::kOff ? "" : ", zigzag, restored"),
                       settings});
    }
  }
  return cases;
}

}  // namespace

TEST_CASE("int and fake agree to 1e-5 and both approximate the float layer") {
  for (const Case& each : Cases()) {
    INFO(each.name);
    const Layer layer = MakeLayer(96, 320, each.settings);
    const at::Tensor x = Numbers(7, 320, 3);
    const at::Tensor from_int = Make(Engine::kInt, layer)->Forward(x);
    const at::Tensor from_fake = Make(Engine::kFake, layer)->Forward(x);
    CHECK(RelativeDifference(from_int, from_fake) <= 1e-5);
    const at::Tensor expected = at::linear(x, layer.weight, layer.bias);
    // Rounding alone is about 1 / (3 qmax²) of the range squared; outliers widen the range.
    const double qmax = std::pow(2.0, static_cast<double>(each.settings.weight.bits) - 1) - 1;
    CHECK(Nmse(from_int, expected) < std::min(0.6, 1.5 / (qmax * qmax)) + 2e-3);
  }
}

TEST_CASE("int gives the bits of the portable definition on the pack's codes and scales") {
  for (const Case& each : Cases()) {
    if (each.settings.transform.rotate_out != RotateOut::kOff) continue;
    for (const bool bias : {true, false}) {
      INFO(each.name << (bias ? ", bias" : ""));
      const Layer layer = MakeLayer(75, 336, each.settings, bias);
      const at::Tensor x = Numbers(14, 336, 3);
      const IntActivations activations =
          QuantizeRows(ActivationTransform(layer.pack).Apply(x), each.settings.activation, "layer");
      at::Tensor expected = at::empty({14, 75}, at::kFloat);
      IntLinear(activations, RowMajor(layer.pack).View(),
                bias ? layer.bias.const_data_ptr<float>() : nullptr, 0, 75,
                expected.mutable_data_ptr<float>());
      CHECK(SameBytes(Make(Engine::kInt, layer)->Forward(x), expected));
    }
  }
}

TEST_CASE("fake dequantizes what the portable definition reads") {
  for (const int64_t bits : {4, 8}) {
    const Layer layer = MakeLayer(
        75, 337, Settings(bits, 32, ActivationMode::kDynamicToken, RotateIn::kOff, 16), false);
    const RowMajorWeights stored = RowMajor(layer.pack);
    std::vector<int8_t> codes(75 * 337);
    if (bits == 4) {
      UnpackNibbles(stored.codes.data(), 75, 337, codes.data());
    } else {
      std::copy(stored.codes.begin(), stored.codes.end(), codes.begin());
    }
    // Rows in the middle, so that neither end is that of a panel.
    const at::Tensor weight = DequantizeWeights(layer.pack, 29, 71);
    REQUIRE(weight.sizes() == at::IntArrayRef{42, 337});
    int64_t wrong = 0;
    for (int64_t n = 29; n < 71; ++n) {
      for (int64_t k = 0; k < 337; ++k) {
        const float scale = FloatFromFp16(stored.scales[static_cast<size_t>(n * 11 + k / 32)]);
        const float value = static_cast<float>(codes[static_cast<size_t>(n * 337 + k)]) * scale;
        wrong += weight.const_data_ptr<float>()[(n - 29) * 337 + k] != value ? 1 : 0;
      }
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("Smoothing divides activations by what the weight was multiplied with") {
  std::vector<float> smooth;
  smooth.reserve(320);
  for (int i = 0; i < 320; ++i) smooth.push_back(i % 37 == 5 ? 9.0F : 0.7F);
  LayerSettings settings =
      Settings(8, 128, ActivationMode::kDynamicTokenGroup, RotateIn::kHadamard, 64);
  settings.transform.smooth = SmoothMode::kFile;
  const Layer layer = MakeLayer(48, 320, settings, true, smooth);
  const at::Tensor x = Numbers(5, 320, 3);
  const at::Tensor expected = at::linear(x, layer.weight, layer.bias);
  CHECK(Nmse(Make(Engine::kInt, layer)->Forward(x), expected) < 1e-4);
  const at::Tensor transformed = ActivationTransform(layer.pack).Apply(x);
  CHECK(!at::equal(transformed, x));
}

TEST_CASE("The int engine gives the same bytes for any number of threads") {
  const int threads = at::get_num_threads();
  LayerSettings settings =
      Settings(4, 128, ActivationMode::kDynamicTokenGroup, RotateIn::kWeightSvd, 64);
  settings.transform.rotate_out = RotateOut::kRestore;
  const Layer layer = MakeLayer(384, 1024, settings);
  const std::unique_ptr<LinearEngine> engine = Make(Engine::kInt, layer);
  for (const int64_t rows : {1, 10, 67}) {
    const at::Tensor x = Numbers(rows, 1024, 3);
    at::set_num_threads(1);
    const at::Tensor alone = engine->Forward(x);
    at::set_num_threads(4);
    CHECK(SameBytes(engine->Forward(x), alone));
    CHECK(SameBytes(engine->Forward(x), alone));
  }
  at::set_num_threads(threads);
}

TEST_CASE("A row's result does not depend on the rows beside it") {
  const Layer layer = MakeLayer(
      64, 320, Settings(4, 128, ActivationMode::kDynamicTokenGroup, RotateIn::kHadamard, 64));
  const std::unique_ptr<LinearEngine> engine = Make(Engine::kInt, layer);
  const at::Tensor x = Numbers(9, 320, 3);
  CHECK(SameBytes(engine->Forward(x).narrow(0, 4, 1), engine->Forward(x.narrow(0, 4, 1))));
}

TEST_CASE("Input and output keep the shape and the dtype of x") {
  const Layer layer = MakeLayer(
      48, 64, Settings(4, 32, ActivationMode::kDynamicTokenGroup, RotateIn::kHadamard, 16));
  for (const Engine kind : {Engine::kInt, Engine::kFake}) {
    const std::unique_ptr<LinearEngine> engine = Make(kind, layer);
    const at::Tensor wide = Numbers(6, 64, 3).to(at::kBFloat16).reshape({2, 3, 64});
    const at::Tensor before = wide.clone();
    const at::Tensor y = engine->Forward(wide);
    CHECK(y.sizes() == at::IntArrayRef{2, 3, 48});
    CHECK(y.scalar_type() == at::kBFloat16);
    // bfloat16 is widened exactly and the result rounded once.
    CHECK(SameBytes(y, engine->Forward(wide.to(at::kFloat)).to(at::kBFloat16)));
    CHECK(SameBytes(wide, before));
    // Strided input.
    const at::Tensor turned = wide.to(at::kFloat).transpose(0, 1);
    CHECK(SameBytes(engine->Forward(turned), engine->Forward(turned.contiguous())));
    CHECK(engine->Forward(at::empty({0, 64}, at::kFloat)).sizes() == at::IntArrayRef{0, 48});
  }
}

TEST_CASE("NaN and Inf in the input are errors that name layer and row") {
  const Layer layer = MakeLayer(
      32, 64, Settings(4, 32, ActivationMode::kDynamicTokenGroup, RotateIn::kHadamard, 16));
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), -std::numeric_limits<double>::infinity()}) {
    at::Tensor x = Numbers(9, 64, 3);
    x[5][63] = bad;
    x[7][0] = bad;
    for (const Engine kind : {Engine::kInt, Engine::kFake}) {
      const std::unique_ptr<LinearEngine> engine = Make(kind, layer);
      try {
        engine->Forward(x);
        FAIL("no error");
      } catch (const c10::Error& error) {
        CHECK_THAT(error.what_without_backtrace(),
                   ContainsText("llm.layers.7.q_proj: input row 5 holds NaN or Inf"));
      }
    }
  }
}

TEST_CASE("An input of another width is an error") {
  const Layer layer =
      MakeLayer(32, 64, Settings(4, 32, ActivationMode::kDynamicToken, RotateIn::kHadamard, 16));
  CHECK_THROWS_AS(Make(Engine::kInt, layer)->Forward(Numbers(2, 65, 3)), c10::Error);
}

TEST_CASE("fake computes what int cannot: asymmetric weights, few and no activation bits") {
  const at::Tensor x = Numbers(11, 320, 3);
  const auto nmse = [&](const LayerSettings& settings) {
    const Layer layer = MakeLayer(64, 320, settings);
    return Nmse(Make(Engine::kFake, layer)->Forward(x), at::linear(x, layer.weight, layer.bias));
  };
  LayerSettings settings =
      Settings(8, 32, ActivationMode::kDynamicTokenGroup, RotateIn::kHadamard, 64);
  settings.weight.rounding = WeightRounding::kRtn;
  settings.activation.group = 32;
  const double eight = nmse(settings);
  settings.activation.bits = 4;
  const double four = nmse(settings);
  settings.activation.bits = 0;
  const double none = nmse(settings);
  CHECK(four < 0.02);
  CHECK(eight < four / 50);
  CHECK(none < eight);
  settings.weight.symmetric = false;
  CHECK(nmse(settings) < 1e-4);
  settings.weight.bits = 4;
  CHECK(nmse(settings) < 0.02);
}

TEST_CASE("An engine refuses what it cannot compute, naming layer and option") {
  LayerSettings settings = Settings(4, 32, ActivationMode::kDynamicToken, RotateIn::kHadamard, 16);
  const auto refusal = [](Engine engine, const Layer& layer) {
    const Status status = MakeEngine(engine, InputsFor(layer)).status();
    CHECK(status.code() == StatusCode::kInvalidArgument);
    CHECK_THAT(status.message(), ContainsText("llm.layers.7.q_proj"));
    return status.field();
  };
  Layer layer = MakeLayer(32, 64, settings);
  layer.settings.activation.bits = 4;
  CHECK(refusal(Engine::kInt, layer) == "quant.act.bits");
  layer.settings.activation.mode = ActivationMode::kStaticChannel;
  CHECK(refusal(Engine::kFake, layer) == "quant.act.mode");
  settings.weight.symmetric = false;
  settings.weight.rounding = WeightRounding::kRtn;
  CHECK(refusal(Engine::kInt, MakeLayer(32, 64, settings)) == "quant.weight.symmetric");
  Layer other = MakeLayer(32, 64, settings);
  other.pack.arithmetic = PackArithmetic::kLegacyF32;
  CHECK(refusal(Engine::kInt, other) == "quant.engine");
}

TEST_CASE("The first call of a layer is logged as openpi_duquant does it") {
  const Layer layer =
      MakeLayer(32, 64, Settings(4, 32, ActivationMode::kDynamicToken, RotateIn::kHadamard, 16));
  std::vector<std::string> lines;
  double time = 0;
  EngineObserver::Options options;
  options.debug = true;
  options.profile = true;
  options.clock = [&time] { return time += 0.25; };
  options.log = [&lines](const std::string& line) { lines.push_back(line); };
  EngineInputs inputs = InputsFor(layer);
  inputs.observer = std::make_shared<EngineObserver>(options);
  const auto engine = MakeEngine(Engine::kInt, inputs);
  REQUIRE(engine.ok());
  for (int i = 0; i < 3; ++i) (*engine)->Forward(Numbers(5, 64, 3).unsqueeze(0));
  REQUIRE(lines.size() == 3);
  CHECK(lines[0] ==
        "[DUQUANT][CACHE] llm.layers.7.q_proj device=cpu dtype=torch.float32 Wbits=4 Abits=8 "
        "block_in=16 permute=False row_rot=0");
  CHECK(lines[2] ==
        "[DUQUANT][FORWARD] llm.layers.7.q_proj input=(1, 5, 64) output=(1, 5, 32) "
        "weight_bits=4 act_bits=8");
  const std::vector<std::string> table = inputs.observer->ProfileTable("");
  REQUIRE(table.size() == 6);
  CHECK_THAT(table[4], ContainsText("activation_forward"));
  CHECK_THAT(table[4], ContainsText(" 3       750.00    250.000            960"));
}

}  // namespace vlaserve
