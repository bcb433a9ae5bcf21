#include <iostream>
#include <memory>

#include <nlohmann/json.hpp>

#include "model/policy/runtime.h"
#include "quant/calibration/record.h"
#include "quant/select/select.h"
#include "server/cli/commands.h"
#include "server/cli/config_arguments.h"
#include "server/cli/exit_code.h"
#include "server/cli/json_output.h"
#include "server/cli/logging.h"
#include "server/cli/observation_arguments.h"

namespace vlaserve {
namespace {

struct Arguments {
  std::string archive;
  std::string out;
  ConfigArguments config;
  ObservationArguments observations;
  int64_t samples = 128;
  int64_t seed = 0;
  bool json = false;
};

// What the configuration selects; empty, all of them, if it quantizes nothing.
Result<std::vector<std::string>> SelectedNames(const Archive& archive, const QuantConfig& config) {
  std::vector<std::string> names;
  if (config.engine == Engine::kOff) return names;
  VLASERVE_ASSIGN_OR_RETURN(const Selection selection, Select(archive.linears(), config));
  if (selection.layers.empty()) {
    return Status(StatusCode::kInvalidArgument, "quant.select.scope",
                  "no linear of the archive is selected; vlaserve layers shows why");
  }
  for (const SelectedLayer& layer : selection.layers) names.push_back(layer.linear.name);
  return names;
}

// Before the hours of work, not after them.
Status CheckWritable(FileSystem& files, const std::string& path) {
  return files.CreateAtomically(path).status();
}

Result<Recording> Record(const Arguments& arguments, const ServerConfig& config) {
  FileSystem& files = PosixFileSystem();
  VLASERVE_RETURN_IF_ERROR(InitializeRuntime(static_cast<int>(config.threads)));
  VLASERVE_ASSIGN_OR_RETURN(std::unique_ptr<Archive> archive,
                            Archive::Open(files, arguments.archive));
  RecordOptions options;
  VLASERVE_ASSIGN_OR_RETURN(options.layers, SelectedNames(*archive, config.quant));
  options.max_rows = arguments.samples;
  options.seed = arguments.seed;
  options.policy = config.policy;
  VLASERVE_ASSIGN_OR_RETURN(const std::vector<NamedInput> inputs,
                            arguments.observations.Read(files, *archive, options.policy));
  VLASERVE_RETURN_IF_ERROR(CheckWritable(files, arguments.out));
  const auto progress = [&](size_t input) {
    std::cerr << "observation " << input + 1 << " of " << inputs.size() << ": "
              << inputs[input].name << std::endl;
  };
  VLASERVE_ASSIGN_OR_RETURN(Recording recording,
                            RecordCalibration(std::move(archive), options, inputs, progress));
  VLASERVE_RETURN_IF_ERROR(WriteCalibration(files, arguments.out, recording.calibration));
  return recording;
}

int64_t RowsKept(const Calibration& calibration) {
  int64_t rows = 0;
  for (const auto& [name, layer] : calibration.layers) {
    for (const std::vector<float>& samples : layer.samples) {
      rows += static_cast<int64_t>(samples.size()) / layer.columns;
    }
  }
  return rows;
}

void Print(const Arguments& arguments, const Recording& recording) {
  const Calibration& calibration = recording.calibration;
  const int64_t rows = RowsKept(calibration);
  if (!arguments.json) {
    std::cout << arguments.out << ": " << calibration.layers.size() << " layers, "
              << calibration.observations << " observations of up to " << calibration.num_steps
              << " denoise steps, " << rows << " rows kept" << std::endl;
    return;
  }
  const nlohmann::json json = {{"out", arguments.out},
                               {"archive_sha256", calibration.archive_sha256},
                               {"layers", calibration.layers.size()},
                               {"observations", calibration.observations},
                               {"num_steps", calibration.num_steps},
                               {"rows", rows},
                               {"seed", calibration.seed},
                               {"notes", recording.notes}};
  std::cout << JsonText(json) << std::endl;
}

int Run(const Arguments& arguments) {
  const auto config = arguments.config.Load();
  if (!config.ok()) return Fail("calibrate", config.status());
  SetUpLogging(config->config.log_level);
  for (const std::string& note : config->notes) std::cerr << note << "\n";
  for (const std::string& warning : config->warnings) std::cerr << "warning: " << warning << "\n";
  const auto recording = Record(arguments, config->config);
  if (!recording.ok()) return Fail("calibrate", recording.status());
  for (const std::string& note : recording->notes) std::cerr << note << "\n";
  Print(arguments, *recording);
  return kExitOk;
}

}  // namespace

void AddCalibrateCommand(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "calibrate", "Record activation statistics of the linears over given observations");
  command->group(kQuantizationCommands);
  command->footer(
      "Records what the configuration selects; every live linear if it quantizes nothing.\n"
      "The file is what quant.calibration_file names.");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("--archive", arguments->archive, "The archive (policy.pt)")->required();
  command->add_option("--out", arguments->out, "The calibration file to write")->required();
  arguments->config.AddTo(*command);
  arguments->config.AddPresetTo(*command);
  arguments->observations.AddTo(*command, "Folder with cases.json and cases.safetensors");
  command
      ->add_option("--samples", arguments->samples,
                   "Rows of input kept of each layer and denoise step")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 20));
  command->add_option("--seed", arguments->seed, "Chooses the rows that are kept")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  command->add_flag("--json", arguments->json, "Print JSON");
  command->callback([arguments, &action] { action = [arguments] { return Run(*arguments); }; });
}

}  // namespace vlaserve
