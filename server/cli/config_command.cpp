#include <iomanip>
#include <iostream>
#include <memory>

#include "server/cli/commands.h"
#include "server/cli/config_arguments.h"
#include "server/cli/exit_code.h"
#include "server/config/presets.h"
#include "server/config/render.h"

namespace vlaserve {
namespace {

void PrintRemarks(const ResolvedConfig& config) {
  for (const std::string& note : config.notes) std::cerr << note << "\n";
  for (const std::string& warning : config.warnings) std::cerr << "warning: " << warning << "\n";
}

int Show(const ConfigArguments& arguments, bool json) {
  const auto config = arguments.Load();
  if (!config.ok()) return Fail("config show", config.status());
  PrintRemarks(*config);
  std::cout << (json ? ShowJson(*config) : ShowText(*config)) << std::flush;
  return kExitOk;
}

int Check(const ConfigArguments& arguments) {
  const auto config = arguments.Load();
  if (!config.ok()) return Fail("config check", config.status());
  PrintRemarks(*config);
  std::cout << "ok" << (config->config.archive.empty() ? "; policy.archive is not set" : "")
            << std::endl;
  return kExitOk;
}

int ListPresets() {
  for (const std::string& name : PresetNames()) {
    const auto preset = ReadPreset(PosixFileSystem(), name);
    if (!preset.ok()) return Fail("config presets", preset.status());
    std::cout << std::left << std::setw(16) << name << preset->description << "\n";
  }
  std::cout << std::flush;
  return kExitOk;
}

int Print(const std::string& text) {
  std::cout << text << std::flush;
  return kExitOk;
}

}  // namespace

void AddConfigCommand(CLI::App& app, Action& action) {
  CLI::App* config = app.add_subcommand("config", "Show, check and describe the configuration");
  config->group(kServerCommands)->require_subcommand(1);

  auto arguments = std::make_shared<ConfigArguments>();
  auto json = std::make_shared<bool>(false);
  CLI::App* show = config->add_subcommand("show", "Every option with its value and its source");
  arguments->AddTo(*show);
  show->add_flag("--json", *json, "Print JSON");
  show->callback([=, &action] { action = [arguments, json] { return Show(*arguments, *json); }; });

  CLI::App* check = config->add_subcommand("check", "Exit code 0, or 2 and what is wrong");
  arguments->AddTo(*check);
  check->callback([=, &action] { action = [arguments] { return Check(*arguments); }; });

  config->add_subcommand("schema", "The JSON schema of config files (configs/schema.json)")
      ->callback([&action] { action = [] { return Print(ConfigSchema()); }; });
  config->add_subcommand("presets", "All quantization presets")->callback([&action] {
    action = ListPresets;
  });
  config->add_subcommand("table", "All options as a Markdown table")->callback([&action] {
    action = [] { return Print(MarkdownTable()); };
  });
}

}  // namespace vlaserve
