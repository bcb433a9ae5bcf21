// An exported tiny policy with a pack cache of its own, for the tests of the pass as a whole.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "quant/quantize.h"
#include "tests/model/policy/exported.h"
#include "tests/support/catch.h"

namespace vlaserve {

using Groups = std::vector<std::string>;

inline const Groups kAll = {"llm.attn", "llm.mlp", "expert.attn", "expert.mlp"};

inline constexpr const char* kQuery =
    "paligemma_with_expert.paligemma.model.language_model.layers.0.self_attn.q_proj";

inline QuantConfig IntConfig(const Groups& groups) {
  QuantConfig config;
  config.preset = "test";
  config.engine = Engine::kInt;
  config.select.groups = groups;
  return config;
}

// One exported policy and a pack cache of its own.
class Setup {
 public:
  explicit Setup(const std::string& folder) : exported_(ExportGolden(folder, SettingsFor(folder))) {
    OpenCache(PackCacheOptions::Mode::kReadWrite);
  }

  void OpenCache(PackCacheOptions::Mode mode) {
    PackCacheOptions options;
    options.directory = exported_->directory.File("packs");
    options.mode = mode;
    auto cache = PackCache::Open(PosixFileSystem(), options,
                                 [this](const std::string& line) { warnings.push_back(line); });
    INFO(cache.status().message());
    REQUIRE(cache.ok());
    cache_ = *std::move(cache);
  }

  // Quantizes a newly opened archive and keeps it for Policy().
  Result<QuantSummary> Quantize(const QuantConfig& config) {
    archive_ = exported_->Open();
    return QuantizeArchive(*archive_, Inputs(config));
  }

  Result<QuantSummary> Pack(const QuantConfig& config) {
    archive_ = exported_->Open();
    return PackArchive(*archive_, Inputs(config));
  }

  std::unique_ptr<TorchPolicy> Policy() {
    auto policy = TorchPolicy::Create(std::move(archive_), options_);
    INFO(policy.status().message());
    REQUIRE(policy.ok());
    return *std::move(policy);
  }

  std::vector<double> Actions() {
    const std::unique_ptr<TorchPolicy> policy = Policy();
    auto chunk = policy->Infer(TestObservation(policy->settings()), {.seed = 7}, {});
    INFO(chunk.status().message());
    REQUIRE(chunk.ok());
    return chunk->actions;
  }

  std::vector<double> FloatActions() {
    archive_ = exported_->Open();
    return Actions();
  }

  bool ActsLikeFloat() {
    const std::vector<double> actions = Actions();
    return actions == FloatActions();
  }

  const std::string& path() const { return exported_->path; }
  std::string File(const std::string& name) const { return exported_->directory.File(name); }
  const Archive& archive() const { return *archive_; }
  const RunOptions& run() const { return run_; }

  std::function<Status()> interrupt;
  kernels::Isa isa = kernels::CurrentIsa().isa;
  std::vector<std::string> lines;     // printed
  std::vector<std::string> warnings;  // of the cache
  std::vector<std::string> progress;

 private:
  QuantizeInputs Inputs(const QuantConfig& config) {
    config_ = config;
    auto run = ResolveOptions(options_, archive_->settings());
    REQUIRE(run.ok());
    run_ = *run;
    lines.clear();
    progress.clear();
    QuantizeInputs inputs;
    inputs.config = &config_;
    inputs.cache = cache_.get();
    inputs.run = &run_;
    inputs.print = [this](const std::string& line) { lines.push_back(line); };
    inputs.progress = [this](int64_t done, int64_t total, const std::string& layer) {
      progress.push_back(std::to_string(done) + "/" + std::to_string(total));
      CHECK(!layer.empty());
    };
    inputs.interrupt = interrupt;
    inputs.isa = isa;
    return inputs;
  }

  std::unique_ptr<ExportedArchive> exported_;
  std::unique_ptr<PackCache> cache_;
  std::unique_ptr<Archive> archive_;
  PolicyOptions options_;
  QuantConfig config_;
  RunOptions run_;
};

inline QuantSummary RequireSummary(Result<QuantSummary> summary) {
  INFO(summary.status().field() << ": " << summary.status().message());
  REQUIRE(summary.ok());
  return *std::move(summary);
}

}  // namespace vlaserve
