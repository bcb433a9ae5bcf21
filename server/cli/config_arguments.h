// --config, --set and --preset, as several commands have them.
#pragma once

#include <string>
#include <vector>

#include <CLI/App.hpp>

#include "server/config/load.h"

namespace vlaserve {

struct ConfigArguments {
  std::string file;
  std::vector<std::string> assignments;
  std::string preset;

  void AddTo(CLI::App& command);
  // --preset NAME, short for --set quant.preset=NAME.
  void AddPresetTo(CLI::App& command);

  // With the process's environment. `more` are assignments that win over all others.
  Result<ResolvedConfig> Load(const std::vector<std::string>& more = {}) const;
};

}  // namespace vlaserve
