// The subcommands, one file each. An Add function declares a subcommand with its options; when the
// parser meets it, it stores in `action` what is to be run after parsing. An action returns the
// exit code.
#pragma once

#include <functional>

#include <CLI/App.hpp>

namespace vlaserve {

using Action = std::function<int()>;

// Groups of `vlaserve --help`.
inline constexpr const char* kArchiveCommands = "Checkpoints and archives";
inline constexpr const char* kQuantizationCommands = "Quantization";
inline constexpr const char* kServerCommands = "Server";
inline constexpr const char* kClientCommands = "Client";

void AddSynthCommand(CLI::App& app, Action& action);
void AddExportCommand(CLI::App& app, Action& action);
void AddInspectCommand(CLI::App& app, Action& action);
void AddCheckCommand(CLI::App& app, Action& action);
void AddCalibrateCommand(CLI::App& app, Action& action);
void AddCacheCommand(CLI::App& app, Action& action);
void AddLayersCommand(CLI::App& app, Action& action);
void AddPackCommand(CLI::App& app, Action& action);
void AddBenchCommand(CLI::App& app, Action& action);
void AddServeCommand(CLI::App& app, Action& action);
void AddConfigCommand(CLI::App& app, Action& action);
void AddInferCommand(CLI::App& app, Action& action);
void AddHealthCommand(CLI::App& app, Action& action);

}  // namespace vlaserve
