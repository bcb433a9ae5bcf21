#include "server/golden/environment_run.h"

#include <utility>

#include "server/config/load.h"

namespace vlaserve {

std::vector<LinearInfo> ReadGoldenLinears(const nlohmann::json& list) {
  std::vector<LinearInfo> linears;
  for (const nlohmann::json& entry : list) {
    linears.push_back({entry.at("name"), entry.at("in_features"), entry.at("out_features"),
                       entry.at("bias"), /*live=*/true});
  }
  return linears;
}

EnvironmentRun RunEnvironment(FileSystem& files, const nlohmann::json& environment,
                              const std::vector<LinearInfo>& linears,
                              const std::vector<std::string>& assignments) {
  EnvironmentRun run;
  auto loaded = LoadConfig(
      files, {.assignments = assignments, .environment = environment.get<Environment>()});
  run.status = loaded.status();
  if (!loaded.ok()) return run;
  run.config = loaded->config.quant;
  if (run.config.engine == Engine::kOff) return run;
  auto selection = Select(linears, run.config);
  run.status = selection.status();
  if (selection.ok()) run.selection = *std::move(selection);
  return run;
}

}  // namespace vlaserve
