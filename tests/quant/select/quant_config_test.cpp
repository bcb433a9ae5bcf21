// Settings that do not fit together.
#include "quant/config/quant_config.h"

#include <functional>
#include <string>

#include "tests/support/catch.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)

namespace {

QuantConfig Config(Engine engine) {
  QuantConfig config;
  config.engine = engine;
  if (engine == Engine::kLegacyExact) {
    config.layer.activation.mode = ActivationMode::kStaticChannel;
  }
  return config;
}

using Change = std::function<void(QuantConfig&)>;

std::string FieldOf(Engine engine, const Change& change) {
  QuantConfig config = Config(engine);
  change(config);
  const Status status = CheckQuantConfig(config);
  if (status.ok()) return "";
  CHECK(status.code() == StatusCode::kInvalidArgument);
  CHECK(!status.message().empty());
  return status.field();
}

}  // namespace

TEST_CASE("the settings that an engine starts from are accepted") {
  for (const Engine engine :
       {Engine::kOff, Engine::kInt, Engine::kFake, Engine::kLegacyExact, Engine::kTransformsOnly}) {
    CHECK(CheckQuantConfig(Config(engine)).ok());
  }
}

TEST_CASE("what an engine cannot do is an error naming the option") {
  const auto mode = [](ActivationMode value) {
    return [value](QuantConfig& config) { config.layer.activation.mode = value; };
  };
  CHECK(FieldOf(Engine::kInt, mode(ActivationMode::kStaticChannel)) == "quant.act.mode");
  CHECK(FieldOf(Engine::kFake, mode(ActivationMode::kDynamicTensor)) == "quant.act.mode");
  CHECK(FieldOf(Engine::kFake, mode(ActivationMode::kDynamicToken)).empty());
  CHECK(FieldOf(Engine::kLegacyExact, mode(ActivationMode::kDynamicToken)) == "quant.act.mode");
  CHECK(FieldOf(Engine::kLegacyExact, mode(ActivationMode::kStepChannel)).empty());

  const Change act4 = [](QuantConfig& config) { config.layer.activation.bits = 4; };
  CHECK(FieldOf(Engine::kInt, act4) == "quant.act.bits");
  CHECK(FieldOf(Engine::kFake, act4).empty());
  const Change act16 = [](QuantConfig& config) { config.layer.activation.bits = 16; };
  CHECK(FieldOf(Engine::kInt, act16) == "quant.act.bits");
  CHECK(FieldOf(Engine::kFake, act16).empty());

  const Change no_weights = [](QuantConfig& config) { config.layer.weight.bits = 32; };
  CHECK(FieldOf(Engine::kInt, no_weights) == "quant.weight.bits");
  CHECK(FieldOf(Engine::kFake, no_weights) == "quant.weight.bits");
  CHECK(FieldOf(Engine::kLegacyExact, no_weights).empty());

  const Change asymmetric = [](QuantConfig& config) { config.layer.weight.symmetric = false; };
  CHECK(FieldOf(Engine::kInt, asymmetric) == "quant.weight.symmetric");
  CHECK(FieldOf(Engine::kFake, asymmetric).empty());
  CHECK(FieldOf(Engine::kLegacyExact, asymmetric) == "quant.weight.symmetric");

  const Change propagate = [](QuantConfig& config) {
    config.layer.transform.rotate_out = RotateOut::kPropagate;
  };
  CHECK(FieldOf(Engine::kInt, propagate) == "quant.transform.rotate_out");
  CHECK(FieldOf(Engine::kTransformsOnly, propagate) == "quant.transform.rotate_out");
  CHECK(FieldOf(Engine::kLegacyExact, propagate).empty());

  const Change bug = [](QuantConfig& config) { config.compat_bugs.sq_inverted = true; };
  CHECK(FieldOf(Engine::kInt, bug) == "quant.compat_bugs");
  CHECK(FieldOf(Engine::kLegacyExact, bug).empty());
}

TEST_CASE("smoothing needs its file, and the file smoothing") {
  const Change mode = [](QuantConfig& config) {
    config.layer.transform.smooth = SmoothMode::kFile;
  };
  CHECK(FieldOf(Engine::kInt, mode) == "quant.transform.smooth.file");
  const Change file = [](QuantConfig& config) { config.smooth_file = "scales.json"; };
  CHECK(FieldOf(Engine::kInt, file) == "quant.transform.smooth.mode");
  CHECK(FieldOf(Engine::kInt, [&](QuantConfig& config) {
          mode(config);
          file(config);
        }).empty());
}

TEST_CASE("expressions are checked whatever the engine") {
  const Change include = [](QuantConfig& config) { config.select.include = "(q_proj"; };
  CHECK(FieldOf(Engine::kOff, include) == "quant.select.include");
  const Change exclude = [](QuantConfig& config) { config.select.exclude = "*norm"; };
  CHECK(FieldOf(Engine::kInt, exclude).empty());  // not in use
  CHECK(FieldOf(Engine::kInt, [&](QuantConfig& config) {
          exclude(config);
          config.select.exclude_nothing = false;
        }) == "quant.select.exclude");
}
