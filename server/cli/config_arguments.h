// --config and --set, as `serve` and `config` have them.
#pragma once

#include <string>
#include <vector>

#include <CLI/App.hpp>

#include "server/config/load.h"

namespace vlaserve {

struct ConfigArguments {
  std::string file;
  std::vector<std::string> assignments;

  void AddTo(CLI::App& command);
  // With the process's environment.
  Result<ResolvedConfig> Load() const;
};

}  // namespace vlaserve
