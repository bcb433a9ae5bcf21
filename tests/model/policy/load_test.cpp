#include "model/policy/load.h"

#include <string>

#include "model/checkpoint/tensor_names.h"
#include "tests/model/policy/exported.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"

namespace vlaserve {
namespace {

constexpr const char* kLanguage = "paligemma_with_expert.paligemma.model.language_model.";
constexpr const char* kExpert = "paligemma_with_expert.gemma_expert.model.";

}  // namespace

TEST_CASE("adaRMS dense layers stay as stored only where the step table replaces them") {
  const std::string dense = kExpert + std::string("layers.0.input_layernorm.dense.weight");
  RunOptions options;
  options.compute_dtype = ComputeDtype::kBfloat16;
  CHECK(WantedDtype(dense, DType::kBF16, options) == DType::kBF16);
  CHECK(WantedDtype(dense, DType::kF32, options) == DType::kF32);
  options.savings.step_table = false;
  CHECK(WantedDtype(dense, DType::kBF16, options) == DType::kF32);
  const std::string linear = kLanguage + std::string("layers.0.self_attn.q_proj.weight");
  CHECK(WantedDtype(linear, DType::kF32, options) == DType::kBF16);
  CHECK(WantedDtype(linear, DType::kF16, options) == DType::kBF16);
  options.compute_dtype = ComputeDtype::kFloat32;
  CHECK(WantedDtype(linear, DType::kBF16, options) == DType::kF32);
}

TEST_CASE("Weights that are stored as they are computed with stay in the mapping") {
  for (const std::string& folder : GoldenModelFolders()) {
    INFO(folder);
    const auto settings = SettingsFor(folder);
    {
      const auto exported = ExportGolden(folder, settings, StoredDtype::kFloat32);
      const auto policy = MakePolicy(*exported);
      CHECK(policy->model().load_summary().converted_bytes == 0);
      CHECK(policy->model().load_summary().mapped_bytes > 0);
    }
    {
      const auto exported = ExportGolden(folder, settings, StoredDtype::kBfloat16);
      const auto policy = MakePolicy(*exported, {.compute_dtype = ComputeDtype::kBfloat16});
      const LoadSummary& summary = policy->model().load_summary();
      int64_t islands = 0;
      for (const auto& [name, digest] : policy->model().archive().digests()) {
        if (!IsFloat32Island(name) || name == "rope_inv_freq") continue;
        if (digest.dtype != WantedDtype(name, digest.dtype, policy->model().options())) {
          islands += static_cast<int64_t>(digest.bytes) * 4 /
                     static_cast<int64_t>(DTypeSize(digest.dtype));
        }
      }
      CHECK(summary.converted_bytes == islands);
      CHECK(summary.mapped_bytes > islands);
    }
  }
}

TEST_CASE("An option that the model cannot run with is refused by name") {
  PolicySettings settings;
  settings.num_steps = 10;
  settings.time_steps = TimeSteps::kLerobot;
  settings.rope_inv_freq = RopeInvFreq::kBf16Rounded;
  const Result<RunOptions> from_settings = ResolveOptions({}, settings);
  REQUIRE(from_settings.ok());
  CHECK(from_settings->num_steps == 10);
  CHECK(from_settings->time_steps == TimeSteps::kLerobot);
  CHECK(from_settings->rope_inv_freq == RopeInvFreq::kBf16Rounded);
  PolicyOptions options;
  options.num_steps = 4;
  options.time_steps = TimeSteps::kOpenpi;
  options.rope_inv_freq = RopeInvFreq::kExact;
  const Result<RunOptions> explicit_options = ResolveOptions(options, settings);
  REQUIRE(explicit_options.ok());
  CHECK(explicit_options->num_steps == 4);
  CHECK(explicit_options->time_steps == TimeSteps::kOpenpi);
  CHECK(explicit_options->rope_inv_freq == RopeInvFreq::kExact);
  options.num_steps = 101;
  CHECK(ResolveOptions(options, settings).status().field() == "runtime.num_steps");
}

}  // namespace vlaserve
