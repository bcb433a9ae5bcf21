// The engine legacy_exact beyond what the golden cases cover: modes, refusals, memory.
#include "quant/engine/legacy_engine.h"

#include <limits>

#include <ATen/ATen.h>

#include "quant/engine/static_scales.h"
#include "quant/pack/packer.h"
#include "tests/support/catch.h"
#include "tests/support/matchers.h"

namespace vlaserve {
namespace {

constexpr int64_t kN = 10;
constexpr int64_t kK = 20;

// The same numbers on every machine.
at::Tensor Numbers(int64_t rows, int64_t columns, double seed) {
  return (at::sin(at::arange(rows * columns, at::kFloat) * 1.7 + seed)).reshape({rows, columns});
}

LayerSettings Settings(ActivationMode mode) {
  LayerSettings settings;
  settings.weight = {.bits = 4, .group = 0};
  settings.activation.mode = mode;
  settings.activation.percentile = 100;
  settings.transform.rotate_in = RotateIn::kWeightSvd;
  settings.transform.block = 8;  // last block: 4 columns, 2 rows
  settings.transform.permute = Permute::kWeightZigzag;
  settings.transform.rotate_out = RotateOut::kRestore;
  return settings;
}

EngineInputs InputsFor(const LayerSettings& settings,
                       PackArithmetic arithmetic = PackArithmetic::kLegacyF32) {
  const at::Tensor weight = Numbers(kN, kK, 1);
  PackRequest request;
  request.name = "llm.q";
  request.weight = {weight.const_data_ptr<float>(), static_cast<size_t>(weight.numel())};
  request.out_features = kN;
  request.in_features = kK;
  request.settings = settings;
  request.arithmetic = arithmetic;
  auto contents = BuildPack(request);
  INFO(contents.status().message());
  REQUIRE(contents.ok());
  EngineInputs inputs;
  inputs.name = "llm.q";
  inputs.pack = ViewOf(*std::move(contents));
  inputs.settings = settings;
  inputs.compute_dtype = arithmetic == PackArithmetic::kLegacyBf16 ? at::kBFloat16 : at::kFloat;
  return inputs;
}

std::unique_ptr<LinearEngine> Make(EngineInputs inputs) {
  auto engine = MakeLegacyEngine(std::move(inputs));
  INFO(engine.status().message());
  REQUIRE(engine.ok());
  return *std::move(engine);
}

LayerCalibration Recorded(std::vector<std::vector<float>> samples) {
  LayerCalibration calibration;
  calibration.columns = kK;
  calibration.samples = std::move(samples);
  return calibration;
}

std::vector<float> Values(const at::Tensor& x) {
  return {x.const_data_ptr<float>(), x.const_data_ptr<float>() + x.numel()};
}

double Nmse(const at::Tensor& y, const at::Tensor& expected) {
  return (at::sum(at::square(y - expected)) / at::sum(at::square(expected))).item<double>();
}

TEST_CASE("scales recorded from a batch equal those of that batch seen first") {
  const at::Tensor x = Numbers(6, kK, 3);
  const LayerCalibration calibration = Recorded({Values(x)});
  for (const ActivationMode mode :
       {ActivationMode::kStaticChannel, ActivationMode::kStaticTensor}) {
    EngineInputs recorded = InputsFor(Settings(mode));
    recorded.calibration = &calibration;
    EngineInputs first = InputsFor(Settings(mode));
    first.compat_bugs.first_batch_calib = true;
    const at::Tensor y = Make(std::move(recorded))->Forward(x);
    CHECK(at::equal(y, Make(std::move(first))->Forward(x)));
    CHECK(Nmse(y, at::matmul(x, Numbers(kN, kK, 1).t())) < 0.05);
  }
}

TEST_CASE(
    "the largest scale of all recorded denoise steps holds for all; step_channel keeps each") {
  const at::Tensor x = Numbers(6, kK, 3);
  const LayerCalibration calibration = Recorded({Values(x * 0.25F), Values(x), Values(x * 0.5F)});
  EngineInputs inputs = InputsFor(Settings(ActivationMode::kStaticChannel));
  const auto scales_of = [&](ActivationMode mode) {
    ActivationSettings settings = inputs.settings.activation;
    settings.mode = mode;
    auto scales = StaticActivationScales("llm.q", inputs.pack, settings, calibration, at::kFloat);
    REQUIRE(scales.ok());
    return *scales;
  };
  const auto each = scales_of(ActivationMode::kStepChannel);
  REQUIRE(each.size() == 3);
  const auto channel = scales_of(ActivationMode::kStaticChannel);
  REQUIRE(channel.size() == 1);
  CHECK(at::equal(channel[0], each[1]));
  CHECK(channel[0].sizes() == at::IntArrayRef({kK}));
  const auto tensor = scales_of(ActivationMode::kStaticTensor);
  REQUIRE(tensor.size() == 1);
  CHECK(tensor[0].item<float>() == at::amax(channel[0]).item<float>());
}

TEST_CASE("step_channel follows the observer's denoise step, and stops at one never recorded") {
  const at::Tensor x = Numbers(6, kK, 3);
  const LayerCalibration calibration = Recorded({Values(x * 0.1F), Values(x)});
  EngineInputs inputs = InputsFor(Settings(ActivationMode::kStepChannel));
  inputs.calibration = &calibration;
  inputs.observer = std::make_shared<EngineObserver>(EngineObserver::Options{});
  const auto observer = inputs.observer;
  const auto engine = Make(std::move(inputs));
  const at::Tensor expected = at::matmul(x, Numbers(kN, kK, 1).t());
  observer->denoise_step = 1;
  CHECK(Nmse(engine->Forward(x), expected) < 0.05);
  observer->denoise_step = 0;  // scales ten times too small: everything is clipped
  CHECK(Nmse(engine->Forward(x), expected) > 0.3);
  observer->denoise_step = 2;
  CHECK_THROWS_WITH(engine->Forward(x), ContainsText("llm.q: denoise step 2"));
}

TEST_CASE("a layer that was recorded once has one scale for every denoise step") {
  const at::Tensor x = Numbers(6, kK, 3);
  const LayerCalibration calibration = Recorded({Values(x)});
  EngineInputs inputs = InputsFor(Settings(ActivationMode::kStepChannel));
  inputs.calibration = &calibration;
  inputs.observer = std::make_shared<EngineObserver>(EngineObserver::Options{});
  inputs.observer->denoise_step = 7;
  CHECK(Make(std::move(inputs))->Forward(x).sizes() == at::IntArrayRef({6, kN}));
}

TEST_CASE("dynamic_tensor scales with each call") {
  const auto engine = Make(InputsFor(Settings(ActivationMode::kDynamicTensor)));
  const at::Tensor x = Numbers(3, kK, 5);
  const at::Tensor y = engine->Forward(x);
  CHECK(Nmse(y, at::matmul(x, Numbers(kN, kK, 1).t())) < 0.05);
  CHECK(at::equal(engine->Forward(x * 1024), y * 1024));
}

TEST_CASE("weights kept and weights dequantized in every call give the same numbers") {
  for (const auto arithmetic : {PackArithmetic::kLegacyF32, PackArithmetic::kLegacyBf16}) {
    const LayerSettings settings = Settings(ActivationMode::kDynamicTensor);
    EngineInputs lean = InputsFor(settings, arithmetic);
    lean.precache_weights = false;
    const at::Tensor x = Numbers(2, kK, 7).to(lean.compute_dtype).reshape({1, 2, kK});
    const auto engine = Make(std::move(lean));
    const at::Tensor y = engine->Forward(x);
    CHECK(y.scalar_type() == x.scalar_type());
    CHECK(y.sizes() == at::IntArrayRef({1, 2, kN}));
    CHECK(at::equal(y, engine->Forward(x)));
    CHECK(at::equal(y, Make(InputsFor(settings, arithmetic))->Forward(x)));
  }
}

TEST_CASE("NaN and Inf in the input are errors that name the layer") {
  const auto engine = Make(InputsFor(Settings(ActivationMode::kDynamicTensor)));
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    at::Tensor x = Numbers(2, kK, 1);
    x[1][3] = bad;
    CHECK_THROWS_WITH(engine->Forward(x), ContainsText("llm.q: NaN or Inf"));
  }
  CHECK_THROWS_WITH(engine->Forward(Numbers(2, kK, 1).to(at::kBFloat16)),
                    ContainsText("llm.q: the input is"));
}

TEST_CASE("what the engine cannot do is refused with the option's key") {
  const auto refusal = [](EngineInputs inputs) {
    const auto engine = MakeLegacyEngine(std::move(inputs));
    REQUIRE(!engine.ok());
    CHECK(engine.status().code() == StatusCode::kInvalidArgument);
    CHECK_THAT(engine.status().message(), ContainsText("llm.q: "));
    return engine.status().field();
  };
  CHECK(refusal(InputsFor(Settings(ActivationMode::kDynamicToken))) == "quant.act.mode");
  CHECK(refusal(InputsFor(Settings(ActivationMode::kStaticChannel))) == "quant.calibration_file");
  EngineInputs steps = InputsFor(Settings(ActivationMode::kStepChannel));
  steps.compat_bugs.first_batch_calib = true;
  CHECK(refusal(steps) == "quant.act.mode");
  EngineInputs other = InputsFor(Settings(ActivationMode::kDynamicTensor));
  other.compute_dtype = at::kBFloat16;
  CHECK(refusal(other) == "quant.engine");
  const LayerCalibration empty = Recorded({});
  EngineInputs nothing = InputsFor(Settings(ActivationMode::kStaticChannel));
  nothing.calibration = &empty;
  refusal(nothing);
  LayerCalibration wide = Recorded({std::vector<float>(2 * kK + 2)});
  wide.columns = kK + 1;
  nothing.calibration = &wide;
  refusal(nothing);
}

}  // namespace
}  // namespace vlaserve
