#include "server/cli/config_arguments.h"

namespace vlaserve {

void ConfigArguments::AddTo(CLI::App& command) {
  command.add_option("--config", file, "Config file (JSON)");
  command
      .add_option("--set", assignments,
                  "KEY=VALUE, for instance server.address=127.0.0.1:0; wins over environment and "
                  "file; may be repeated")
      ->allow_extra_args(false);
}

Result<ResolvedConfig> ConfigArguments::Load() const {
  return LoadConfig(PosixFileSystem(), {file, assignments, ProcessEnvironment()});
}

}  // namespace vlaserve
