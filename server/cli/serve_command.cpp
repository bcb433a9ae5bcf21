#include <cmath>
#include <iostream>
#include <memory>

#include <spdlog/spdlog.h>

#include "model/archive/archive.h"
#include "model/policy/run_options.h"
#include "model/policy/runtime.h"
#include "server/cli/commands.h"
#include "server/cli/config_arguments.h"
#include "server/cli/device.h"
#include "server/cli/exit_code.h"
#include "server/cli/logging.h"
#include "server/cli/policy_loader.h"
#include "server/cli/resident_memory.h"
#include "server/cli/version.h"
#include "server/config/render.h"
#include "server/service/server.h"
#include "server/service/signals.h"

namespace vlaserve {
namespace {

using std::chrono::milliseconds;

// Names of values as the configuration spells them.
std::string_view Name(ComputeDtype dtype) {
  return dtype == ComputeDtype::kBfloat16 ? "bfloat16" : "float32";
}
std::string_view Name(RopeInvFreq frequencies) {
  return frequencies == RopeInvFreq::kBf16Rounded ? "bf16_rounded" : "exact";
}
std::string_view Name(TimeSteps steps) {
  return steps == TimeSteps::kLerobot ? "lerobot" : "openpi";
}

std::string CameraNames(const PolicySettings& settings) {
  std::string names;
  for (const Camera& camera : settings.cameras) {
    if (camera.name) names += (names.empty() ? "" : ", ") + *camera.name;
  }
  return names;
}

// One line each for what an operator must see at a glance.
void LogWhatIsServed(const Archive& archive, const ServerConfig& config, const RunOptions& run) {
  const PolicySettings& settings = archive.settings();
  const Geometry& geometry = archive.geometry();
  spdlog::info("vlaserve {}, LibTorch {}", Version(), LibtorchVersion());
  spdlog::info("archive: {}, {:.1f} MB, archive_sha256 {}", archive.path(),
               static_cast<double>(archive.file_bytes()) / 1e6, archive.archive_sha256());
  spdlog::info("policy: {} ({}), cameras {}, state of {} numbers, chunks of {} x {} numbers",
               settings.name, PolicyTypeName(geometry.type), CameraNames(settings),
               settings.state_dim, geometry.horizon, settings.output_action_dim);
  spdlog::info(
      "sizes: picture {} px, {} tokens a camera, {} prompt slots, depth {}, LLM width {}, "
      "expert width {}, vocabulary {}",
      geometry.image_size, geometry.tokens_per_camera(), geometry.prompt_slots, geometry.depth,
      geometry.llm_width, geometry.expert_width, geometry.vocab_size);
  spdlog::info("compute: {} on {}, {} threads, {} denoise steps ({}), RoPE frequencies {}",
               Name(run.compute_dtype), config.device, RuntimeThreads(), run.num_steps,
               Name(run.time_steps), Name(run.rope_inv_freq));
}

ServerOptions ServerOptionsOf(const ServerConfig& config) {
  ServerOptions options;
  options.address = config.address;
  options.insecure = config.insecure;
  options.queue_capacity = config.queue_capacity;
  options.drain_ms = std::llround(config.drain_seconds * 1000);
  options.reflection = config.reflection;
  return options;
}

void PrintLine(const std::string& line) { std::cout << line << std::endl; }

void LogMemory() {
  const ResidentMemory memory = ReadResidentMemory();
  spdlog::info("memory: {:.1f} MB anonymous, {:.1f} MB of mapped files resident",
               static_cast<double>(memory.anonymous_bytes) / 1e6,
               static_cast<double>(memory.file_bytes) / 1e6);
}

// Serves until a signal or a failure ends it.
int ServeUntilStopped(std::unique_ptr<Server> server, const ServerOptions& options,
                      PolicyLoader& loader) {
  // Longer than a drain ever takes, so that only an inference that hangs is cut off.
  constexpr milliseconds kGrace{30'000};
  const StopSignals signals(
      [&] {
        loader.Stop();
        server->RequestStop();
      },
      milliseconds(options.drain_ms) + kGrace);
  if (server->WaitUntilServing().ok()) {
    LogMemory();
    spdlog::info("serving");
  }
  const Status status = server->Wait();
  loader.PrintProfile();
  const bool stopped_while_loading = status.code() == StatusCode::kCancelled && loader.stopped();
  if (!status.ok() && !stopped_while_loading) return Fail("serve", status);
  spdlog::info("stopped");
  return kExitOk;
}

int Serve(const ServerConfig& config) {
  if (const Status status = CheckDevice(config.device); !status.ok()) return Fail("serve", status);
  BlockStopSignals();
  if (const auto limit = RaiseOpenFileLimit(); !limit.ok()) {
    spdlog::warn("{}", limit.status().message());
  }
  const Status runtime = InitializeRuntime(static_cast<int>(config.threads));
  if (!runtime.ok()) return Fail("serve", runtime);

  const auto loader = PolicyLoader::Open(config, PrintLine);
  if (!loader.ok()) return Fail("serve", loader.status());
  LogWhatIsServed((*loader)->archive(), config, (*loader)->run());

  const ServerOptions options = ServerOptionsOf(config);
  auto server =
      Server::Start(options, (*loader)->Info(), [&loader = **loader] { return loader.Load(); });
  if (!server.ok()) return Fail("serve", server.status(), ExitContext::kBind);
  spdlog::info("address: {} (port {})", config.address, (*server)->port());
  return ServeUntilStopped(*std::move(server), options, **loader);
}

int Run(const ConfigArguments& arguments) {
  const auto config = arguments.Load();
  if (!config.ok()) return Fail("serve", config.status());
  SetUpLogging(config->config.log_level);
  for (const std::string& note : config->notes) spdlog::info("{}", note);
  for (const std::string& warning : config->warnings) spdlog::warn("{}", warning);
  if (config->config.archive.empty()) {
    return Fail("serve", {StatusCode::kInvalidArgument, "policy.archive",
                          "not set; name the archive in the config file, with --set "
                          "policy.archive=FILE, or in VLASERVE_POLICY_ARCHIVE"});
  }
  return Serve(config->config);
}

}  // namespace

void AddServeCommand(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("serve", "Serve a policy archive over gRPC");
  command->group(kServerCommands);
  command->footer(OptionsHelp());
  auto arguments = std::make_shared<ConfigArguments>();
  arguments->AddTo(*command);
  command->callback([arguments, &action] { action = [arguments] { return Run(*arguments); }; });
}

}  // namespace vlaserve
