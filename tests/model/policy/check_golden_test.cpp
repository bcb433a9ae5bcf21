// The model against the reference's numbers, through the engine of `vlaserve check`.

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "model/policy/check.h"
#include "tests/model/policy/exported.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"

namespace vlaserve {
namespace {

CheckReport Check(const ExportedArchive& archive, const std::string& folder,
                  const PolicyOptions& policy_options, CheckOptions options = {}) {
  options.golden = folder;
  const auto policy = TorchPolicy::Create(archive.Open(), policy_options);
  REQUIRE(policy.ok());
  Result<CheckReport> report = RunCheck(PosixFileSystem(), **policy, options);
  INFO(report.status().message());
  REQUIRE(report.ok());
  return *std::move(report);
}

size_t Cases(const CheckReport& report) { return static_cast<size_t>(report.cases); }

// Largest and mean |a - b| of two tensors of a golden file.
Tolerance Distance(const SafetensorsFile& file, const std::string& a, const std::string& b) {
  const std::vector<double> left = GoldenTensor(file, a).ToDoubles();
  const std::vector<double> right = GoldenTensor(file, b).ToDoubles();
  Tolerance distance;
  for (size_t i = 0; i < left.size(); ++i) {
    const double difference = std::abs(left[i] - right[i]);
    distance.max = std::max(distance.max, difference);
    distance.mean += difference / static_cast<double>(left.size());
  }
  return distance;
}

}  // namespace

TEST_CASE("golden model cases: float32 with exact RoPE frequencies") {
  size_t cases = 0;
  for (const std::string& folder : GoldenModelFolders()) {
    const auto archive = ExportGolden(folder, SettingsFor(folder));
    const CheckReport report = Check(*archive, GoldenPath(folder), {});
    INFO(CheckReportText(report));
    CHECK(report.passed());
    CHECK(report.tolerance.max == 1e-5);
    cases += Cases(report);
  }
  ReportGoldenCases("model actions, float32", cases);
}

TEST_CASE("golden model cases: float32 with bf16-rounded RoPE frequencies") {
  size_t cases = 0;
  for (const std::string& folder : GoldenModelFolders()) {
    const auto archive = ExportGolden(folder, SettingsFor(folder));
    const CheckReport report =
        Check(*archive, GoldenPath(folder), {.rope_inv_freq = RopeInvFreq::kBf16Rounded},
              {.reference = "actions_fp32_bf16_rope"});
    INFO(CheckReportText(report));
    CHECK(report.passed());
    cases += Cases(report);
  }
  ReportGoldenCases("model actions, float32, bf16-rounded RoPE", cases);
}

TEST_CASE("golden model cases: bfloat16 within twice the reference's own distance from float32") {
  size_t cases = 0;
  for (const std::string& folder : GoldenModelFolders()) {
    const auto archive = ExportGolden(folder, SettingsFor(folder));
    const SafetensorsFile golden = OpenGoldenTensors(folder + "/cases.safetensors");
    for (const std::string reference : {"actions_bf16_policy", "actions"}) {
      const CheckReport report = Check(
          *archive, GoldenPath(folder),
          {.compute_dtype = ComputeDtype::kBfloat16, .rope_inv_freq = RopeInvFreq::kBf16Rounded},
          {.reference = reference, .tolerance = 1.0});
      INFO(CheckReportText(report));
      Tolerance own;
      Tolerance ours;
      for (const Comparison& comparison : report.comparisons) {
        const std::string prefix = comparison.name.substr(0, comparison.name.find('.') + 1);
        const Tolerance distance =
            Distance(golden, prefix + "actions", prefix + "actions_bf16_policy");
        own.max = std::max(own.max, distance.max);
        own.mean = std::max(own.mean, distance.mean);
        ours.max = std::max(ours.max, comparison.max_abs_diff);
        ours.mean = std::max(ours.mean, comparison.mean_abs_diff);
      }
      CHECK(own.max > 0);
      CHECK(ours.max <= 2 * own.max);
      CHECK(ours.mean <= 2 * own.mean);
      cases += Cases(report);
    }
  }
  ReportGoldenCases("model actions, bfloat16", cases);
}

TEST_CASE("golden intermediates of the model agree in float32") {
  size_t compared = 0;
  for (const std::string& folder : GoldenModelFolders()) {
    const auto archive = ExportGolden(folder, SettingsFor(folder));
    const auto policy = MakePolicy(*archive);
    const Result<GoldenFolder> golden = ReadGoldenFolder(
        PosixFileSystem(), GoldenPath(folder), "actions", policy->geometry(), policy->settings());
    REQUIRE(golden.ok());
    for (const GoldenModelCase& model_case : golden->model_cases) {
      if (model_case.intermediates.empty()) continue;
      const Result<std::vector<NamedArray>> trace = policy->model().Trace(model_case.input);
      INFO(trace.status().message());
      REQUIRE(trace.ok());
      const std::vector<Comparison> comparisons =
          CompareIntermediates(*trace, model_case, DefaultTolerance("actions"));
      for (const Comparison& comparison : comparisons) {
        INFO(folder << " " << comparison.name << ": " << comparison.max_abs_diff << ", largest "
                    << comparison.reference_abs_max);
        CHECK(comparison.passed);
      }
      // All that the folder recorded was compared, but for what a trace does not hold: the mask
      // (an input) and x before the first step (the noise).
      std::vector<std::string> left_out;
      for (const auto& [name, tensor] : model_case.intermediates) {
        const bool found = std::any_of(trace->begin(), trace->end(),
                                       [&name = name](const auto& a) { return a.name == name; });
        if (!found) left_out.push_back(name);
      }
      CHECK(left_out == std::vector<std::string>{"prefix_pad_mask", "x_t.0"});
      compared += comparisons.size();
    }
  }
  ReportGoldenCases("model intermediates", compared);
}

TEST_CASE("golden LeRobot cases: float32 with LeRobot's time steps") {
  size_t cases = 0;
  for (const std::string& folder : GoldenLerobotFolders()) {
    const auto archive = ExportLerobot(folder);
    const CheckReport report = Check(*archive, GoldenPath(folder), {});
    INFO(CheckReportText(report));
    CHECK(report.passed());
    cases += Cases(report);
  }
  ReportGoldenCases("LeRobot model actions", cases);
}

TEST_CASE("golden LeRobot cases depart with openpi's time steps") {
  size_t cases = 0;
  for (const std::string& folder : GoldenLerobotFolders()) {
    const auto archive = ExportLerobot(folder);
    const CheckReport report =
        Check(*archive, GoldenPath(folder), {.time_steps = TimeSteps::kOpenpi});
    INFO(CheckReportText(report));
    CHECK_FALSE(report.passed());
    CHECK(report.intermediates_missing == "the folder holds none");
    cases += Cases(report);
  }
  ReportGoldenCases("LeRobot model actions with the wrong times", cases);
}

TEST_CASE("golden cases of the demo policy: whole observations") {
  const auto archive = ExportDemo();
  const CheckReport report = Check(*archive, VLASERVE_SOURCE_DIR "/configs/demo_policy", {});
  INFO(CheckReportText(report));
  CHECK(report.passed());
  CHECK(report.comparisons.size() == 2 * Cases(report));
  ReportGoldenCases("demo policy", Cases(report));
}

TEST_CASE("golden check finds the first intermediate that departs") {
  size_t cases = 0;
  for (const std::string& folder : GoldenModelFolders()) {
    const auto archive = ExportGolden(folder, SettingsFor(folder));
    // Rounded frequencies first show in the first keys, or, where a folder has none, in the expert.
    const CheckReport report =
        Check(*archive, GoldenPath(folder), {.rope_inv_freq = RopeInvFreq::kBf16Rounded});
    INFO(CheckReportText(report));
    CHECK_FALSE(report.passed());
    REQUIRE(report.FirstDeparture() != nullptr);
    const SafetensorsFile golden = OpenGoldenTensors(folder + "/cases.safetensors");
    const std::string expected = golden.Find("case0.prefix_k.0") != nullptr
                                     ? "case0.prefix_k.0"
                                     : "case0.expert.step0.layer0";
    CHECK(report.FirstDeparture()->name == expected);
    cases += Cases(report);
  }
  ReportGoldenCases("departing model actions", cases);
}

}  // namespace vlaserve
