// The program's command line: subcommands, --version, exit codes.
#pragma once

namespace vlaserve {

// Parses the arguments, runs the subcommand, and returns the process's exit code
// (server/cli/exit_code.h; `health` has grpc_health_probe's). Results go to standard output, all
// else to standard error. To be called once, from main, before any other thread exists.
int RunCommandLine(int argc, const char* const* argv);

}  // namespace vlaserve
