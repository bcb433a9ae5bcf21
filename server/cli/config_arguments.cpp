#include "server/cli/config_arguments.h"

#include "server/cli/arguments.h"

namespace vlaserve {

void ConfigArguments::AddTo(CLI::App& command) {
  command.add_option("--config", file, "Config file (JSON)")->check(CheckPath);
  command
      .add_option("--set", assignments,
                  "KEY=VALUE, for instance server.address=127.0.0.1:0; wins over environment and "
                  "file; may be repeated")
      ->allow_extra_args(false);
}

void ConfigArguments::AddPresetTo(CLI::App& command) {
  command.add_option("--preset", preset, "Quantization preset, a name or a file: quant.preset")
      ->check(CheckPath);
}

Result<ResolvedConfig> ConfigArguments::Load(const std::vector<std::string>& more) const {
  std::vector<std::string> all;
  if (!preset.empty()) all.push_back("quant.preset=" + preset);
  all.insert(all.end(), assignments.begin(), assignments.end());
  all.insert(all.end(), more.begin(), more.end());
  return LoadConfig(PosixFileSystem(), {file, all, ProcessEnvironment()});
}

}  // namespace vlaserve
