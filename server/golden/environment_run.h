// What this server does for the environment variables of a golden case. Free of LibTorch.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "model/io/file_system.h"
#include "model/io/status.h"
#include "quant/config/quant_config.h"
#include "quant/select/select.h"

namespace vlaserve {

// Entries {"name", "in_features", "out_features", "bias"}. Throws what nlohmann::json throws.
std::vector<LinearInfo> ReadGoldenLinears(const nlohmann::json& list);

struct EnvironmentRun {
  Status status;
  QuantConfig config;
  Selection selection;  // empty with Engine::kOff
};

// Configuration and selection as `vlaserve layers` makes them. `environment`: an object of texts;
// throws what nlohmann::json throws if it is something else.
EnvironmentRun RunEnvironment(FileSystem& files, const nlohmann::json& environment,
                              const std::vector<LinearInfo>& linears,
                              const std::vector<std::string>& assignments = {});

}  // namespace vlaserve
