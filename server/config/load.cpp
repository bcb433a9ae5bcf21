#include "server/config/load.h"

#include <algorithm>

#include "quant/cache/default_directory.h"
#include "server/config/config_object.h"
#include "server/config/openpi_environment.h"
#include "server/config/presets.h"
#include "server/config/settle.h"

namespace vlaserve {
namespace {

using Json = nlohmann::json;

// " (environment VLASERVE_QUANT_PRESET)", for messages about a value.
std::string OriginText(const ResolvedOption& entry) {
  if (entry.source == ValueSource::kDefault) return "";
  return " (" + std::string(ValueSourceName(entry.source)) + " " + entry.origin + ")";
}

class Resolver {
 public:
  explicit Resolver(FileSystem& files) : files_(files) {
    for (const Option& option : Options()) {
      resolved_.options.push_back({&option, option.default_value, ValueSource::kDefault, ""});
    }
  }

  Status ReadFile(const std::string& path) {
    VLASERVE_ASSIGN_OR_RETURN(const Json root, ReadConfigJson(files_, path));
    VLASERVE_ASSIGN_OR_RETURN(std::vector<OptionValue> values, ReadOptions(root, path, {}));
    for (OptionValue& value : values) {
      Set(*value.option, std::move(value.value), ValueSource::kFile, path);
    }
    return Status::Ok();
  }

  Status ReadEnvironment(const Environment& environment) {
    for (const Option& option : Options()) {
      const std::string name = EnvironmentName(option.key);
      const auto it = environment.find(name);
      // Compose files and scripts pass on variables that are not set as empty ones.
      if (it == environment.end() || it->second.empty()) continue;
      auto value = ParseValue(option, it->second);
      if (!value.ok()) {
        return ConfigError("environment variable " + name, value.status().message());
      }
      Set(option, *std::move(value), ValueSource::kEnvironment, name);
    }
    WarnOfStrayVariables(environment);
    return Status::Ok();
  }

  Status ReadAssignment(const std::string& assignment) {
    const size_t equals = assignment.find('=');
    if (equals == std::string::npos || equals == 0) {
      return ConfigError("--set " + assignment, "expected key=value");
    }
    const std::string key = assignment.substr(0, equals);
    const Option* option = FindOption(key);
    if (option == nullptr) {
      return ConfigError("--set " + key, "no such option; `vlaserve config table` lists them all");
    }
    auto value = ParseValue(*option, assignment.substr(equals + 1));
    if (!value.ok()) return ConfigError("--set " + key, value.status().message());
    Set(*option, *std::move(value), ValueSource::kCommandLine, "--set");
    return Status::Ok();
  }

  // Below the variables and assignments, which have been read.
  Status ReadOpenpi(const Environment& environment) {
    VLASERVE_ASSIGN_OR_RETURN(OpenpiOverlay overlay, ReadOpenpiEnvironment(files_, environment));
    resolved_.notes = std::move(overlay.report);
    const ResolvedOption& preset = Find(kPresetKey);
    if (!overlay.base_preset.empty() && preset.source == ValueSource::kDefault) {
      Set(*preset.option, overlay.base_preset, ValueSource::kOpenpi, overlay.base_variable);
    }
    for (OpenpiSetting& setting : overlay.settings) {
      const Option& option = *FindOption(setting.key);
      Status status = CheckValue(option, setting.value);
      if (!status.ok() && !setting.unchecked) {
        status = ConfigError("environment variable " + setting.variable, status.message());
        if (!setting.legacy_only) return status;
        legacy_error_ = status;
        continue;
      }
      Set(option, std::move(setting.value), ValueSource::kOpenpi, setting.variable);
    }
    row_rot_word_ = std::move(overlay.row_rot_word);
    profile_sync_ = overlay.profile_sync;
    return Status::Ok();
  }

  // Below everything but defaults.
  Status ReadPresetValues() {
    const ResolvedOption& entry = Find(kPresetKey);
    auto preset = ReadPreset(files_, entry.value.get<std::string>());
    if (!preset.ok()) {
      return ConfigError("quant.preset" + OriginText(entry), preset.status().message());
    }
    for (OptionValue& value : preset->values) {
      Set(*value.option, std::move(value.value), ValueSource::kPreset, preset->name);
    }
    return Status::Ok();
  }

  Result<ResolvedConfig> Finish(const Environment& environment) {
    SettleQuant(resolved_.options, resolved_.notes);
    ServerConfig& config = resolved_.config;
    for (const ResolvedOption& entry : resolved_.options) {
      if (!entry.value.is_null()) entry.option->apply(entry.value, config);
    }
    FinishQuant(config.quant);
    if (config.pack_cache.directory.empty()) {
      config.pack_cache.directory = DefaultPackCacheDirectory(environment);
    }
    if (config.quant.engine == Engine::kLegacyExact) VLASERVE_RETURN_IF_ERROR(legacy_error_);
    if (const Status status = CheckQuantConfig(config.quant); !status.ok()) {
      return ConfigError(status.field() + OriginText(Find(status.field())), status.message());
    }
    return std::move(resolved_);
  }

 private:
  ResolvedOption& Find(std::string_view key) { return Entry(resolved_.options, key); }

  // Unless a source of higher precedence has spoken.
  void Set(const Option& option, Json value, ValueSource source, std::string origin) {
    ResolvedOption& entry = Find(option.key);
    if (entry.source > source) return;
    entry = {&option, std::move(value), source, std::move(origin)};
  }

  void FinishQuant(QuantConfig& quant) {
    const ResolvedOption& rotation = Find("quant.transform.rotate_out");
    if (rotation.source == ValueSource::kOpenpi) quant.row_rot_word = row_rot_word_;
    quant.profile_sync = profile_sync_;
    quant.select.allow_unknown_names =
        Find("quant.select.layers").source == ValueSource::kOpenpi ||
        Find("quant.select.per_layer_wbits").source == ValueSource::kOpenpi;
  }

  void WarnOfStrayVariables(const Environment& environment) {
    for (const auto& variable : environment) {
      // A lambda cannot take a structured binding with clang 14.
      const std::string& name = variable.first;
      const bool of_a_group =
          std::any_of(OptionGroups().begin(), OptionGroups().end(), [&](const OptionGroup& group) {
            return name.starts_with(EnvironmentName(std::string(group.name) + "."));
          });
      const bool known = std::any_of(Options().begin(), Options().end(), [&](const Option& option) {
        return EnvironmentName(option.key) == name;
      });
      if (of_a_group && !known) {
        resolved_.warnings.push_back("environment variable " + name + " names no option: ignored");
      }
    }
  }

  FileSystem& files_;
  ResolvedConfig resolved_;
  std::optional<std::string> row_rot_word_;
  bool profile_sync_ = true;
  Status legacy_error_;
};

}  // namespace

std::string_view ValueSourceName(ValueSource source) {
  switch (source) {
    case ValueSource::kDefault:
      return "default";
    case ValueSource::kPreset:
      return "preset";
    case ValueSource::kFile:
      return "file";
    case ValueSource::kOpenpi:
    case ValueSource::kEnvironment:
      return "environment";
    case ValueSource::kCommandLine:
      return "command line";
  }
  return "";
}

Result<ResolvedConfig> LoadConfig(FileSystem& files, const ConfigSources& sources) {
  Resolver resolver(files);
  if (!sources.file.empty()) {
    if (const Status status = resolver.ReadFile(sources.file); !status.ok()) {
      return Status(StatusCode::kInvalidArgument, status.message());
    }
  }
  VLASERVE_RETURN_IF_ERROR(resolver.ReadEnvironment(sources.environment));
  for (const std::string& assignment : sources.assignments) {
    VLASERVE_RETURN_IF_ERROR(resolver.ReadAssignment(assignment));
  }
  VLASERVE_RETURN_IF_ERROR(resolver.ReadOpenpi(sources.environment));
  VLASERVE_RETURN_IF_ERROR(resolver.ReadPresetValues());
  return resolver.Finish(sources.environment);
}

}  // namespace vlaserve
