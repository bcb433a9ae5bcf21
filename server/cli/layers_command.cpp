#include <iostream>
#include <memory>

#include "model/archive/archive.h"
#include "model/policy/runtime.h"
#include "quant/select/log_lines.h"
#include "server/cli/commands.h"
#include "server/cli/config_arguments.h"
#include "server/cli/exit_code.h"
#include "server/cli/layers_report.h"
#include "server/cli/linears_file.h"
#include "server/cli/verify_presets.h"

namespace vlaserve {
namespace {

struct Arguments {
  ConfigArguments config;
  std::string archive;
  std::string linears;
  bool json = false;
  bool table = false;
  bool verify_presets = false;
};

Result<std::vector<LinearInfo>> ReadLinears(const Arguments& arguments,
                                            const ServerConfig& config) {
  if (!arguments.linears.empty()) return ReadLinearsFile(PosixFileSystem(), arguments.linears);
  const std::string& path = arguments.archive.empty() ? config.archive : arguments.archive;
  if (path.empty()) {
    return Status(StatusCode::kInvalidArgument,
                  "name the model's linears with --archive, --linears or policy.archive");
  }
  VLASERVE_RETURN_IF_ERROR(InitializeRuntime(0));
  VLASERVE_ASSIGN_OR_RETURN(const auto archive, Archive::Open(PosixFileSystem(), path));
  return archive->linears();
}

void PrintNotes(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) std::cerr << line << "\n";
}

int Run(const Arguments& arguments) {
  if (arguments.verify_presets) return VerifyPresets();
  const auto loaded = arguments.config.Load();
  if (!loaded.ok()) return Fail("layers", loaded.status());
  PrintNotes(loaded->warnings);
  PrintNotes(loaded->notes);
  const QuantConfig& config = loaded->config.quant;
  const auto linears = ReadLinears(arguments, loaded->config);
  if (!linears.ok()) return Fail("layers", linears.status());

  const bool off = config.engine == Engine::kOff;
  auto selection = off ? Selection{} : Select(*linears, config);
  if (!selection.ok()) return Fail("layers", selection.status());
  PrintNotes(selection->notes);
  if (arguments.json) {
    std::cout << LayersJson(static_cast<int64_t>(linears->size()), config, *selection);
  } else if (arguments.table) {
    std::cout << LayersTable(config, *selection);
  } else if (!off) {
    for (const std::string& line : DryRunLines(*linears, config, *selection)) {
      std::cout << line << "\n";
    }
  }
  std::cout << std::flush;
  if (off) {
    std::cerr << "vlaserve layers: nothing is quantized (preset " << config.preset
              << ", engine off)" << std::endl;
    return kExitOk;
  }
  if (!selection->layers.empty()) return kExitOk;
  return Fail("layers", {StatusCode::kInvalidArgument, "quant.select",
                         "no linear is selected; see `vlaserve config show` for the scope and the "
                         "expressions"});
}

}  // namespace

void AddLayersCommand(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "layers", "List the linears that a configuration quantizes (a dry run), and what they get");
  command->group(kQuantizationCommands);
  auto arguments = std::make_shared<Arguments>();
  auto* archive = command->add_option("--archive", arguments->archive, "The archive (policy.pt)");
  command
      ->add_option("--linears", arguments->linears,
                   "Instead of an archive: its linears.json, or a list in that form")
      ->excludes(archive);
  arguments->config.AddTo(*command);
  arguments->config.AddPresetTo(*command);
  auto* json =
      command->add_flag("--json", arguments->json, "Print what each layer gets and saves, as JSON");
  command->add_flag("--table", arguments->table, "Print what each layer gets and saves")
      ->excludes(json);
  command->add_flag("--verify-presets", arguments->verify_presets,
                    "Check how many layers each preset selects of full-size models; exit code 1 if "
                    "one is wrong");
  command->callback([arguments, &action] { action = [arguments] { return Run(*arguments); }; });
}

}  // namespace vlaserve
