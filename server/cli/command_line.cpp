#include "server/cli/command_line.h"

#include <csignal>
#include <iostream>
#include <optional>

// Bodies of what CLI::App uses, needed once.
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include "server/cli/commands.h"
#include "server/cli/exit_code.h"
#include "server/cli/version.h"
#include "server/client/client.h"

namespace vlaserve {
namespace {

constexpr const char* kFooter =
    "Exit codes: 0 ok, 1 ran and found a failure, 2 usage or configuration, 3 archive or "
    "checkpoint "
    "unreadable, 4 cannot listen, 5 device.\n`vlaserve COMMAND --help` describes a command.";

// The exit code if the command line ends the program by itself: an error, --help, --version.
std::optional<int> Parse(CLI::App& app, int argc, const char* const* argv) {
  try {
    app.parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    if (app.exit(error, std::cout, std::cerr) == 0) return kExitOk;
    return app.got_subcommand("health") ? static_cast<int>(ProbeOutcome::kUsage) : int{kExitUsage};
  }
}

}  // namespace

int RunCommandLine(int argc, const char* const* argv) {
  // A file over a size limit (ulimit -f) is a failed write, like a full disk, not the end.
  std::signal(SIGXFSZ, SIG_IGN);
  CLI::App app("Serves the robot policies pi0 and pi0.5 from a TorchScript archive over gRPC.",
               "vlaserve");
  Action action;
  app.require_subcommand(1);
  app.set_version_flag("--version", [] { return VersionText(); });
  app.footer(kFooter);
  AddServeCommand(app, action);
  AddConfigCommand(app, action);
  AddExportCommand(app, action);
  AddInspectCommand(app, action);
  AddCheckCommand(app, action);
  AddLayersCommand(app, action);
  AddCalibrateCommand(app, action);
  AddCacheCommand(app, action);
  AddPackCommand(app, action);
  AddBenchCommand(app, action);
  AddSynthCommand(app, action);
  AddInferCommand(app, action);
  AddHealthCommand(app, action);
  if (const auto code = Parse(app, argc, argv)) return *code;
  return action();
}

}  // namespace vlaserve
