#include "server/cli/policy_loader.h"

#include <utility>

#include <spdlog/spdlog.h>

#include "kernels/isa.h"
#include "model/policy/create_policy.h"
#include "model/policy/runtime.h"
#include "quant/pass/place_attention.h"
#include "quant/quantize.h"
#include "server/cli/quantization.h"
#include "server/cli/resident_memory.h"
#include "server/cli/version.h"

namespace vlaserve {
namespace {

// A line of the log every tenth of the way.
void LogProgress(int64_t done, int64_t total, const std::string& layer) {
  if (done * 10 / total != (done - 1) * 10 / total) {
    spdlog::info("packs: {} of {} ({})", done, total, layer);
  }
}

}  // namespace

Result<std::unique_ptr<PolicyLoader>> PolicyLoader::Open(const ServerConfig& config, Print print) {
  VLASERVE_ASSIGN_OR_RETURN(std::unique_ptr<Archive> archive,
                            Archive::Open(PosixFileSystem(), config.archive));
  VLASERVE_ASSIGN_OR_RETURN(RunOptions run, ResolveOptions(config.policy, archive->settings()));
  return std::unique_ptr<PolicyLoader>(
      new PolicyLoader(config, std::move(archive), std::move(run), std::move(print)));
}

PolicyLoader::PolicyLoader(const ServerConfig& config, std::unique_ptr<Archive> archive,
                           RunOptions run, Print print)
    : config_(config),
      archive_(std::move(archive)),
      run_(std::move(run)),
      print_(std::move(print)),
      observer_(MakeObserver(config.quant)),
      profile_(std::make_shared<PolicyProfile>()) {}

ServerInfo PolicyLoader::Info() {
  ServerInfo info;
  info.version = Version();
  info.archive_sha256 = archive_->archive_sha256();
  info.settings = archive_->settings();
  info.settings.num_steps = run_.num_steps;
  info.geometry = archive_->geometry();
  info.device = config_.device;
  info.compute_dtype = run_.compute_dtype == ComputeDtype::kBfloat16 ? "bfloat16" : "float32";
  info.threads = RuntimeThreads();
  info.quantization = [this] { return Quantization(); };
  return info;
}

Status PolicyLoader::Quantize() {
  VLASERVE_ASSIGN_OR_RETURN(const std::unique_ptr<PackCache> cache, OpenPackCache(config_));
  QuantizeInputs inputs;
  inputs.config = &config_.quant;
  inputs.cache = cache.get();
  inputs.run = &run_;
  inputs.observer = observer_;
  inputs.print = print_;
  inputs.progress = LogProgress;
  inputs.interrupt = [this] {
    return stopped_ ? Status(StatusCode::kCancelled, "stopped while packing") : Status::Ok();
  };
  VLASERVE_ASSIGN_OR_RETURN(const QuantSummary summary, QuantizeArchive(*archive_, inputs));
  for (const std::string& note : summary.notes) spdlog::info("{}", note);
  for (const std::string& warning : summary.warnings) spdlog::warn("{}", warning);
  spdlog::info("{}", SummaryLine(summary));
  const std::lock_guard lock(mutex_);
  quantization_ = QuantizationInfoOf(summary);
  return Status::Ok();
}

Status PolicyLoader::ReplaceAttention() {
  if (!config_.attention_kernel) {
    spdlog::info("attention: LibTorch");
    return Status::Ok();
  }
  VLASERVE_ASSIGN_OR_RETURN(const AttentionPlaces places, PlaceAttention(*archive_));
  spdlog::info("attention: vlaserve kernel at {} of {} places", places.placed, places.possible);
  return Status::Ok();
}

Result<std::unique_ptr<Policy>> PolicyLoader::Load() {
  // Whatever the engine: attention has an instruction set too.
  const kernels::IsaChoice& isa = kernels::CurrentIsa();
  if (!isa.problem.empty()) return Status(StatusCode::kInvalidArgument, isa.problem);
  VLASERVE_RETURN_IF_ERROR(Quantize());
  VLASERVE_RETURN_IF_ERROR(ReplaceAttention());
  PolicyOptions options = config_.policy;
  options.on_denoise_step = [observer = observer_](int64_t step) { observer->denoise_step = step; };
  VLASERVE_ASSIGN_OR_RETURN(std::unique_ptr<Policy> policy,
                            CreatePolicy(std::move(archive_), options));
  if (!config_.quant.profile) return policy;
  return MakeProfiledPolicy(std::move(policy), observer_->options().clock, profile_);
}

std::optional<QuantizationInfo> PolicyLoader::Quantization() {
  std::optional<QuantizationInfo> info;
  {
    const std::lock_guard lock(mutex_);
    info = quantization_;
  }
  if (info) {
    const ResidentMemory memory = ReadResidentMemory();
    info->resident_anonymous_bytes = memory.anonymous_bytes;
    info->resident_file_bytes = memory.file_bytes;
  }
  return info;
}

void PolicyLoader::PrintProfile() const {
  for (const std::string& line : observer_->ProfileTable("")) print_(line);
  for (const std::string& line : PolicyProfileTable(profile_->infer, "")) print_(line);
}

}  // namespace vlaserve
