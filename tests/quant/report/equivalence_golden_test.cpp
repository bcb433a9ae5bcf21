// Transforms without quantization must not change what a policy does.
#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

#include "quant/config/spellings.h"
#include "tests/quant/report/calibrated.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)

namespace {

constexpr double kTolerance = 1e-4;

// The linears of all towers.
QuantConfig Config(CalibratedPolicy& policy, const TransformSettings& transform) {
  QuantConfig config;
  config.preset = "test";
  config.engine = Engine::kTransformsOnly;
  config.layer.transform = transform;
  config.select.groups = {"llm.attn",   "llm.mlp",     "expert.attn",
                          "expert.mlp", "vision.attn", "vision.mlp"};
  if (transform.permute == Permute::kActSnake || transform.rotate_in == RotateIn::kDuquantGreedy) {
    config.calibration_file = policy.calibration_file();
  }
  if (transform.smooth == SmoothMode::kFile) config.smooth_file = policy.smooth_file();
  return config;
}

std::string Describe(const TransformSettings& transform) {
  return std::string(Spelling(kPermuteSpellings, transform.permute)) + ", " +
         std::string(Spelling(kRotateInSpellings, transform.rotate_in)) + ", " +
         std::string(Spelling(kRotateOutSpellings, transform.rotate_out)) + ", block " +
         std::to_string(transform.block);
}

// Every rotation with every block size; permutations, output rotations and smoothing take turns, so
// that each of them meets every block size too.
std::vector<TransformSettings> AllTransforms() {
  std::vector<TransformSettings> all;
  for (const int64_t block : {16, 32, 64, 128, 256}) {
    all.push_back({.permute = Permute::kWeightZigzag,
                   .rotate_in = RotateIn::kWeightSvd,
                   .block = block,
                   .rotate_out = RotateOut::kRestore});
    all.push_back({.smooth = SmoothMode::kFile,
                   .permute = Permute::kActSnake,
                   .rotate_in = RotateIn::kHadamard,
                   .block = block});
    all.push_back({.permute = Permute::kOff,
                   .rotate_in = RotateIn::kSvdHadamard,
                   .block = block,
                   .rotate_out = RotateOut::kRestore,
                   .block_out = 16});
    all.push_back({.smooth = SmoothMode::kFile,
                   .permute = Permute::kActSnake,
                   .rotate_in = RotateIn::kDuquantGreedy,
                   .block = block});
  }
  all.push_back({.smooth = SmoothMode::kFile, .rotate_in = RotateIn::kOff});
  all.push_back({.permute = Permute::kWeightZigzag, .rotate_in = RotateIn::kOff});
  all.push_back({.rotate_in = RotateIn::kOff, .rotate_out = RotateOut::kRestore});
  return all;
}

}  // namespace

TEST_CASE("golden: transforms without quantization leave the actions as they are") {
  size_t cases = 0;
  for (const std::string& folder : GoldenModelFolders()) {
    CalibratedPolicy policy(folder, 1);
    auto original = TorchPolicy::Create(policy.Open(), {});
    REQUIRE(original.ok());
    const auto reference = RunChunks(**original, policy.inputs());
    REQUIRE(reference.ok());
    double largest = 0;
    for (const TransformSettings& transform : AllTransforms()) {
      INFO(folder << ": " << Describe(transform));
      QuantConfig config = Config(policy, transform);
      // The first layer of each tower has every shape; more would only take longer.
      config.select.include = R"(layers\.0\.)";
      QuantizeInputs inputs;
      inputs.config = &config;
      inputs.cache = &policy.cache();
      auto transformed = MakeQuantizedPolicy(policy.Open(), {}, inputs);
      INFO(transformed.status().message());
      REQUIRE(transformed.ok());
      CHECK(!transformed->summary.layers.empty());
      const auto chunks = RunChunks(*transformed->policy, policy.inputs());
      INFO(chunks.status().message());
      REQUIRE(chunks.ok());
      const int64_t width = (*original)->geometry().action_dim;
      for (const ChunkComparison& chunk :
           CompareChunks(policy.inputs(), *chunks, *reference, width, width)) {
        CHECK(chunk.max_abs_diff <= kTolerance);
        largest = std::max(largest, chunk.max_abs_diff);
      }
      ++cases;
    }
    CHECK(largest > 0);  // something was transformed
    std::cout << folder << ": largest difference from float " << largest << "\n";
  }
  ReportGoldenCases("transforms_only", cases);
}

TEST_CASE("golden: the equivalence check reports each observation and judges by its tolerance") {
  size_t cases = 0;
  for (const std::string& folder : GoldenModelFolders()) {
    CalibratedPolicy policy(folder, 2);
    const QuantConfig config = Config(policy, {.block = 16});
    QuantizeInputs inputs;
    inputs.config = &config;
    inputs.cache = &policy.cache();
    const auto report = CheckEquivalence(policy.opener(), {}, inputs, policy.inputs(), kTolerance);
    INFO(report.status().message());
    REQUIRE(report.ok());
    CHECK(report->passed());
    REQUIRE(report->chunks.size() == policy.inputs().size());
    for (size_t i = 0; i < report->chunks.size(); ++i) {
      CHECK(report->chunks[i].name == policy.inputs()[i].name);
      ++cases;
    }
    EquivalenceReport strict = *report;
    strict.tolerance = 0;
    CHECK(!strict.passed());
  }
  ReportGoldenCases("equivalence checks", cases);
}
