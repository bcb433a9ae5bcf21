// Puts a configuration together: command line (--set) over environment over config file over preset
// over default. The rules are written for users in server/config/CONFIG.md.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/io/file_system.h"
#include "server/config/environment.h"
#include "server/config/option.h"

namespace vlaserve {

struct ConfigSources {
  std::string file = {};                      // empty: none
  std::vector<std::string> assignments = {};  // "key=value"; the last one of a key counts
  Environment environment = {};
};

// In rising precedence. kOpenpi: variables of openpi_duquant (openpi_environment.h).
enum class ValueSource { kDefault, kPreset, kFile, kOpenpi, kEnvironment, kCommandLine };

// "default", "preset", "file", "environment" (twice), "command line".
std::string_view ValueSourceName(ValueSource source);

struct ResolvedOption {
  const Option* option = nullptr;
  nlohmann::json value;  // null: unset
  ValueSource source = ValueSource::kDefault;
  std::string origin;  // the preset, the file, the variable or "--set"; empty for defaults
};

struct ResolvedConfig {
  std::vector<ResolvedOption> options;  // every option, in the table's order
  ServerConfig config;
  // Things that are probably mistakes and are not errors: a variable VLASERVE_SERVER_… that names
  // no option (Kubernetes sets such ones, so that it must not stop a server).
  std::vector<std::string> warnings;
  // For the start-up log, one line each: what became of openpi_duquant's variables, and what was
  // settled between a preset and an engine (settle.h).
  std::vector<std::string> notes;
};

// Errors are kInvalidArgument whatever went wrong, for they all mean "your configuration is wrong";
// messages name the file and the JSON pointer, the variable or the --set, what was expected and
// what was found. The quantization settings have passed CheckQuantConfig.
Result<ResolvedConfig> LoadConfig(FileSystem& files, const ConfigSources& sources);

}  // namespace vlaserve
