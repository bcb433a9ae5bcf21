#include "quant/engine/make_engine.h"

#include <exception>
#include <string>
#include <utility>

#include "model/archive/torch_errors.h"
#include "quant/engine/fake_engine.h"
#include "quant/engine/int_engine.h"
#include "quant/engine/legacy_engine.h"
#include "quant/engine/transforms_only_engine.h"

namespace vlaserve {
namespace {

// What `int` and `fake` have in common, and what only `fake` can.
Status CheckIntegerInputs(const EngineInputs& inputs, bool integer_arithmetic) {
  const auto invalid = [&inputs](const char* field, const std::string& message) {
    return Status(StatusCode::kInvalidArgument, field, inputs.name + ": " + message);
  };
  if (inputs.pack.arithmetic != PackArithmetic::kInteger || inputs.pack.codes.empty()) {
    return invalid("quant.engine", "the pack holds no integer codes for int and fake");
  }
  const ActivationSettings& activation = inputs.settings.activation;
  if (activation.bits > 0 && activation.mode != ActivationMode::kDynamicToken &&
      activation.mode != ActivationMode::kDynamicTokenGroup) {
    return invalid("quant.act.mode",
                   "int and fake have the modes dynamic_token and dynamic_token_group");
  }
  if (integer_arithmetic && activation.bits != 8) {
    return invalid("quant.act.bits", "engine int computes with 8-bit activations, found " +
                                         std::to_string(activation.bits));
  }
  if (integer_arithmetic && !inputs.pack.zeros.empty()) {
    return invalid("quant.weight.symmetric", "engine int computes with symmetric weights");
  }
  return Status::Ok();
}

Result<std::unique_ptr<LinearEngine>> MakeIntegerEngine(
    EngineInputs inputs, std::unique_ptr<LinearEngine> (*make)(EngineInputs)) {
  VLASERVE_RETURN_IF_ERROR(CheckIntegerInputs(inputs, make == MakeIntEngine));
  const std::string name = inputs.name;
  try {
    return make(std::move(inputs));
  } catch (const std::exception& error) {
    return TorchFailure(StatusCode::kInternal, name, error);
  }
}

}  // namespace

Result<std::unique_ptr<LinearEngine>> MakeEngine(Engine engine, EngineInputs inputs) {
  switch (engine) {
    case Engine::kInt:
      return MakeIntegerEngine(std::move(inputs), MakeIntEngine);
    case Engine::kFake:
      return MakeIntegerEngine(std::move(inputs), MakeFakeEngine);
    case Engine::kLegacyExact:
      return MakeLegacyEngine(std::move(inputs));
    case Engine::kTransformsOnly:
      return MakeTransformsOnlyEngine(std::move(inputs));
    case Engine::kOff:
      break;
  }
  return Status(StatusCode::kInternal, inputs.name + ": engine off has no layers");
}

int64_t EngineBytes(Engine engine, const EngineInputs& inputs) {
  const PackedLayer& pack = inputs.pack;
  const int64_t elements = pack.out_features * pack.in_features;
  int64_t own = 0;
  if (engine == Engine::kTransformsOnly) own = elements * int64_t{sizeof(float)};
  if (engine == Engine::kLegacyExact && inputs.precache_weights && pack.weight_bits > 0) {
    own = elements * static_cast<int64_t>(at::elementSize(inputs.compute_dtype));
  }
  return PackBytes(pack) + own;
}

}  // namespace vlaserve
