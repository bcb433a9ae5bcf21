#include "quant/config/quant_config.h"

#include "quant/config/spellings.h"
#include "quant/select/python_regex.h"

namespace vlaserve {
namespace {

Status OptionError(std::string_view key, const std::string& message) {
  return {StatusCode::kInvalidArgument, std::string(key), message};
}

Status CheckExpression(std::string_view key, const std::string& pattern) {
  const auto regex = PythonRegex::Compile(pattern);
  if (regex.ok()) return Status::Ok();
  return OptionError(key, regex.status().message() + " in \"" + pattern + "\"");
}

Status CheckSelect(const SelectSettings& select) {
  VLASERVE_RETURN_IF_ERROR(CheckExpression("quant.select.include", select.include));
  if (select.exclude_nothing) return Status::Ok();
  return CheckExpression("quant.select.exclude", select.exclude);
}

// 16 and 32 bits mean "not quantized".
int64_t Quantized(int64_t bits) { return bits > 8 ? 0 : bits; }

Status CheckCompatBugs(const QuantConfig& config) {
  if (config.engine == Engine::kLegacyExact) return Status::Ok();
  for (const auto& [name, bug] : kCompatBugSpellings) {
    if (config.compat_bugs.*bug) {
      return OptionError("quant.compat_bugs",
                         std::string(name) +
                             " is a behaviour of engine legacy_exact, the engine is " +
                             std::string(Spelling(kEngineSpellings, config.engine)));
    }
  }
  return Status::Ok();
}

Status CheckSmoothing(const QuantConfig& config) {
  const bool smooths = config.layer.transform.smooth == SmoothMode::kFile;
  if (smooths && config.smooth_file.empty()) {
    return OptionError("quant.transform.smooth.file",
                       "not set, but quant.transform.smooth.mode is file; name the JSON file with "
                       "the smoothing scales");
  }
  if (!smooths && !config.smooth_file.empty() && config.sites.empty()) {
    return OptionError("quant.transform.smooth.mode",
                       "off, but quant.transform.smooth.file is set; expected file, or no file");
  }
  return Status::Ok();
}

Status CheckIntegerEngine(Engine engine, const LayerSettings& settings) {
  const std::string name(Spelling(kEngineSpellings, engine));
  if (settings.activation.bits != 0 && IsLegacyActivationMode(settings.activation.mode)) {
    return OptionError(
        "quant.act.mode",
        std::string(Spelling(kActivationModeSpellings, settings.activation.mode)) +
            " is impossible with engine " + name +
            " (its scales cannot be taken out of the sum); expected dynamic_token or "
            "dynamic_token_group, or engine legacy_exact");
  }
  if (engine == Engine::kInt && Quantized(settings.activation.bits) != 8) {
    return OptionError("quant.act.bits",
                       std::to_string(settings.activation.bits) +
                           " is impossible with engine int, which computes with 8-bit "
                           "activations; expected 8, or engine fake");
  }
  if (engine == Engine::kInt && !settings.weight.symmetric) {
    return OptionError("quant.weight.symmetric",
                       "false is impossible with engine int; expected true, or engine fake");
  }
  return Status::Ok();
}

Status CheckLegacyEngine(const LayerSettings& settings) {
  if (settings.activation.bits != 0 && !IsLegacyActivationMode(settings.activation.mode)) {
    return OptionError("quant.act.mode",
                       std::string(Spelling(kActivationModeSpellings, settings.activation.mode)) +
                           " is not what legacy_exact does; expected static_channel, step_channel, "
                           "static_tensor or dynamic_tensor");
  }
  if (!settings.weight.symmetric) {
    return OptionError("quant.weight.symmetric",
                       "false is impossible with engine legacy_exact; expected true");
  }
  return Status::Ok();
}

}  // namespace

bool IsLegacyActivationMode(ActivationMode mode) {
  return mode != ActivationMode::kDynamicToken && mode != ActivationMode::kDynamicTokenGroup;
}

Status CheckLayerSettings(Engine engine, const LayerSettings& settings) {
  if (settings.transform.rotate_out == RotateOut::kPropagate && engine != Engine::kLegacyExact &&
      engine != Engine::kOff) {
    return OptionError("quant.transform.rotate_out",
                       "propagate is never undone and only there for engine legacy_exact; expected "
                       "off or restore");
  }
  switch (engine) {
    case Engine::kInt:
    case Engine::kFake:
      return CheckIntegerEngine(engine, settings);
    case Engine::kLegacyExact:
      return CheckLegacyEngine(settings);
    case Engine::kOff:
    case Engine::kTransformsOnly:
      break;
  }
  return Status::Ok();
}

Status CheckQuantConfig(const QuantConfig& config) {
  VLASERVE_RETURN_IF_ERROR(CheckSelect(config.select));
  VLASERVE_RETURN_IF_ERROR(CheckCompatBugs(config));
  if (config.engine == Engine::kOff) return Status::Ok();
  VLASERVE_RETURN_IF_ERROR(CheckSmoothing(config));
  const bool integer = config.engine == Engine::kInt || config.engine == Engine::kFake;
  if (integer && Quantized(config.layer.weight.bits) == 0) {
    return OptionError("quant.weight.bits",
                       std::to_string(config.layer.weight.bits) +
                           " leaves no integer weights; expected 2 to 8, or engine "
                           "transforms_only or legacy_exact");
  }
  return CheckLayerSettings(config.engine, config.layer);
}

}  // namespace vlaserve
