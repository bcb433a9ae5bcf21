#include <chrono>
#include <iostream>
#include <memory>

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "model/archive/archive.h"
#include "model/policy/run_options.h"
#include "model/policy/runtime.h"
#include "server/cli/commands.h"
#include "server/cli/config_arguments.h"
#include "server/cli/exit_code.h"
#include "server/cli/json_output.h"
#include "server/cli/logging.h"
#include "server/cli/quantization.h"

namespace vlaserve {
namespace {

struct Arguments {
  ConfigArguments config;
  std::string archive;
  std::string preset;
  bool json = false;
};

// On a terminal one line that is drawn over, else a line every tenth of the way.
class ProgressBar {
 public:
  void Show(int64_t done, int64_t total, const std::string& layer) {
    constexpr int64_t kWidth = 30;
    const std::string counts = std::to_string(done) + "/" + std::to_string(total);
    if (terminal_) {
      const auto filled = static_cast<size_t>(kWidth * done / total);
      std::cerr << "\r[" << std::string(filled, '#') << std::string(kWidth - filled, '.') << "] "
                << counts << " " << layer << "\033[K" << (done == total ? "\n" : "") << std::flush;
    } else if (done * 10 / total != (done - 1) * 10 / total) {
      std::cerr << "packed " << counts << " (" << layer << ")\n";
    }
  }

 private:
  const bool terminal_ = isatty(STDERR_FILENO) != 0;
};

nlohmann::json Json(const QuantSummary& summary, const std::string& directory, double seconds) {
  nlohmann::json layers = nlohmann::json::array();
  for (const QuantizedLayerInfo& layer : summary.layers) {
    layers.push_back({{"name", layer.layer.linear.name},
                      {"group", layer.layer.group},
                      {"weight_bits", layer.layer.settings.weight.bits},
                      {"from_cache", layer.source == PackSource::kCache},
                      {"source_bytes", layer.source_bytes},
                      {"pack_bytes", layer.pack_bytes}});
  }
  return {{"engine", EngineName(summary.engine)},
          {"preset", summary.preset},
          {"directory", directory},
          {"linears", summary.linears},
          {"packed", summary.layers.size()},
          {"from_cache", summary.CountFrom(PackSource::kCache)},
          {"built", summary.CountFrom(PackSource::kBuilt)},
          {"built_not_stored", summary.CountFrom(PackSource::kBuiltNotStored)},
          {"source_bytes", summary.SourceBytes()},
          {"pack_bytes", summary.PackedBytes()},
          {"seconds", seconds},
          {"notes", summary.notes},
          {"warnings", summary.warnings},
          {"layers", std::move(layers)}};
}

Result<ResolvedConfig> LoadWith(const Arguments& arguments) {
  ConfigArguments config = arguments.config;
  if (!arguments.archive.empty()) {
    config.assignments.push_back("policy.archive=" + arguments.archive);
  }
  if (!arguments.preset.empty()) config.assignments.push_back("quant.preset=" + arguments.preset);
  VLASERVE_ASSIGN_OR_RETURN(ResolvedConfig resolved, config.Load());
  if (resolved.config.archive.empty()) {
    return Status(StatusCode::kInvalidArgument, "policy.archive",
                  "not set; name the archive with --archive or in the config file");
  }
  if (resolved.config.quant.engine == Engine::kOff) {
    return Status(StatusCode::kInvalidArgument, "quant.engine",
                  "off: there is nothing to pack; choose a preset (--preset) or an engine");
  }
  if (resolved.config.pack_cache.mode != PackCacheOptions::Mode::kReadWrite) {
    return Status(StatusCode::kInvalidArgument, "pack_cache.mode",
                  "the cache is not to be written: packs would be built and lost");
  }
  return resolved;
}

int Run(const Arguments& arguments) {
  const auto resolved = LoadWith(arguments);
  if (!resolved.ok()) return Fail("pack", resolved.status());
  const ServerConfig& config = resolved->config;
  SetUpLogging(config.log_level);
  for (const std::string& note : resolved->notes) std::cerr << note << "\n";
  for (const std::string& warning : resolved->warnings) std::cerr << "warning: " << warning << "\n";
  if (const Status status = InitializeRuntime(static_cast<int>(config.threads)); !status.ok()) {
    return Fail("pack", status);
  }
  auto archive = Archive::Open(PosixFileSystem(), config.archive);
  if (!archive.ok()) return Fail("pack", archive.status());
  const auto run = ResolveOptions(config.policy, (*archive)->settings());
  if (!run.ok()) return Fail("pack", run.status());
  const auto cache = OpenPackCache(config);
  if (!cache.ok()) return Fail("pack", cache.status());

  ProgressBar bar;
  QuantizeInputs inputs;
  inputs.config = &config.quant;
  inputs.cache = cache->get();
  inputs.run = &*run;
  inputs.progress = [&bar](int64_t done, int64_t total, const std::string& layer) {
    bar.Show(done, total, layer);
  };
  const auto start = std::chrono::steady_clock::now();
  const auto summary = PackArchive(**archive, inputs);
  if (!summary.ok()) return Fail("pack", summary.status());
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  for (const std::string& note : summary->notes) std::cerr << note << "\n";
  for (const std::string& warning : summary->warnings) std::cerr << "warning: " << warning << "\n";
  if (arguments.json) {
    std::cout << JsonText(Json(*summary, (*cache)->directory(), time.count())) << std::endl;
  } else {
    std::cout << SummaryLine(*summary) << "\n"
              << "cache: " << (*cache)->directory() << ", " << time.count() << " s" << std::endl;
  }
  // Packs that could not be stored are gone with this process: the job is not done.
  return summary->CountFrom(PackSource::kBuiltNotStored) == 0 ? kExitOk : kExitFailure;
}

}  // namespace

void AddPackCommand(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "pack", "Quantize an archive's layers into the pack cache ahead of time; resumes");
  command->group(kQuantizationCommands);
  auto arguments = std::make_shared<Arguments>();
  command->add_option("--archive", arguments->archive,
                      "The archive (policy.pt); default: policy.archive of the configuration");
  command->add_option("--preset", arguments->preset, "Short for --set quant.preset=NAME");
  arguments->config.AddTo(*command);
  command->add_flag("--json", arguments->json, "Print JSON");
  command->callback([arguments, &action] { action = [arguments] { return Run(*arguments); }; });
}

}  // namespace vlaserve
