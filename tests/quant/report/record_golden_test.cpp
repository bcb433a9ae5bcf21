// Calibration of the golden folder's policies.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "tests/quant/report/calibrated.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"
#include "tests/support/matchers.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)

namespace {

Recording Record(const CalibratedPolicy& policy, const RecordOptions& options) {
  auto recording = RecordCalibration(policy.Open(), options, policy.inputs(), {});
  INFO(recording.status().message());
  REQUIRE(recording.ok());
  return *std::move(recording);
}

bool IsIn(const std::string& part, const std::string& name) {
  return name.find(part) != std::string::npos;
}

bool IsInLastLayer(const std::string& name, const Geometry& geometry) {
  return IsIn("gemma_expert.model.layers." + std::to_string(geometry.depth - 1) + ".", name);
}

bool IsKeyOrValue(const std::string& name) {
  return name.ends_with(".k_proj") || name.ends_with(".v_proj");
}

constexpr const char* kExpert = "gemma_expert.model.layers.";
constexpr const char* kLlm = "language_model.layers.";

}  // namespace

TEST_CASE("golden: the linears of a policy are recorded at every denoise step") {
  size_t cases = 0;
  for (const std::string& folder : GoldenModelFolders()) {
    INFO(folder);
    const CalibratedPolicy policy(folder, 2);
    RecordOptions options;
    options.max_rows = 1 << 20;
    const Recording recording = Record(policy, options);
    const Calibration& calibration = recording.calibration;
    int64_t steps = 0;
    int64_t all_steps = 0;
    int64_t prefix_rows = 0;
    const auto archive = policy.Open();
    for (const NamedInput& input : policy.inputs()) {
      steps = std::max(steps, input.input.num_steps);
      all_steps += input.input.num_steps;
      for (const uint8_t valid : input.input.token_mask) prefix_rows += valid != 0;
      for (const CameraInput& camera : input.input.cameras) {
        if (camera.valid) prefix_rows += archive->geometry().tokens_per_camera();
      }
    }
    CHECK(calibration.num_steps == steps);
    CHECK(calibration.observations == static_cast<int64_t>(policy.inputs().size()));
    CHECK(calibration.archive_sha256 == archive->archive_sha256());

    std::set<std::string> live;
    for (const LinearInfo& linear : archive->linears()) {
      if (linear.live) live.insert(linear.name);
    }
    CHECK(calibration.layers.size() + recording.notes.size() == live.size());
    for (const auto& [name, layer] : calibration.layers) {
      INFO(name);
      CHECK(live.contains(name));
      if (IsIn(kLlm, name)) {
        CHECK(layer.tokens == prefix_rows);
        CHECK(layer.samples.size() == 1);
      }
      if (IsIn(kExpert, name) && !IsIn("norm", name)) {
        // π0's state token passes once per observation, in the last layer through k and v only.
        const bool has_state = archive->geometry().type == PolicyType::kPi0 &&
                               (!IsInLastLayer(name, archive->geometry()) || IsKeyOrValue(name));
        CHECK(layer.tokens == all_steps * archive->geometry().horizon +
                                  (has_state ? static_cast<int64_t>(policy.inputs().size()) : 0));
        CHECK(layer.samples.size() == static_cast<size_t>(steps));
      }
      CHECK(*std::max_element(layer.abs_max.begin(), layer.abs_max.end()) > 0);
    }
    cases += calibration.layers.size();
  }
  ReportGoldenCases("recorded linears", cases);
}

TEST_CASE("golden: what is recorded is what the linears are given") {
  size_t cases = 0;
  for (const std::string& folder : GoldenModelFolders()) {
    INFO(folder);
    const CalibratedPolicy policy(folder, 2);
    RecordOptions options;
    options.layers = {"action_in_proj"};
    options.max_rows = 1 << 20;
    const Recording recording = Record(policy, options);
    REQUIRE(recording.calibration.layers.size() == 1);
    // The first denoise step's actions are the noise.
    std::vector<float> noise;
    for (const NamedInput& input : policy.inputs()) {
      noise.insert(noise.end(), input.input.noise.begin(), input.input.noise.end());
    }
    CHECK(recording.calibration.layers.at("action_in_proj").samples.at(0) == noise);
    ++cases;
  }
  ReportGoldenCases("recorded noise", cases);
}

TEST_CASE("golden: q, k and v share their recording, and so do gate and up") {
  size_t cases = 0;
  for (const std::string& folder : GoldenModelFolders()) {
    const CalibratedPolicy policy(folder, 1);
    const auto archive = policy.Open();
    RecordOptions options;
    options.max_rows = 3;
    const Recording recording = Record(policy, options);
    std::map<std::string, std::string> digests;
    for (const auto& [name, layer] : recording.calibration.layers) {
      digests[name] = LayerCalibrationSha256(layer);
    }
    const auto same = [&](const std::string& name, const std::string& part, const char* other) {
      if (!name.ends_with(part)) return;
      // π0's state token is no query of the last layer.
      if (archive->geometry().type == PolicyType::kPi0 && IsKeyOrValue(name) &&
          IsInLastLayer(name, archive->geometry())) {
        return;
      }
      INFO(name);
      const std::string sibling = name.substr(0, name.size() - part.size()) + other;
      CHECK(digests.at(name) == digests.at(sibling));
      ++cases;
    };
    for (const auto& [name, digest] : digests) {
      same(name, "k_proj", "q_proj");
      same(name, "v_proj", "q_proj");
      same(name, "up_proj", "gate_proj");
    }
  }
  ReportGoldenCases("shared recordings", cases);
}

TEST_CASE("what cannot be recorded is named") {
  const CalibratedPolicy policy(GoldenModelFolders().at(0), 1);
  RecordOptions options;
  options.layers = {"no.such.linear"};
  const Status unknown = RecordCalibration(policy.Open(), options, policy.inputs(), {}).status();
  CHECK(unknown.code() == StatusCode::kInvalidArgument);
  CHECK_THAT(unknown.message(), ContainsText("no.such.linear"));
  const Status none = RecordCalibration(policy.Open(), {}, {}, {}).status();
  CHECK(none.code() == StatusCode::kInvalidArgument);
  std::vector<NamedInput> bad = policy.inputs();
  bad[0].input.noise[0] = std::nanf("");
  const Status nan = RecordCalibration(policy.Open(), {}, bad, {}).status();
  CHECK(nan.code() == StatusCode::kInternal);
  CHECK_THAT(nan.message(), ContainsText(bad[0].name));
  CHECK_THAT(nan.message(), ContainsText("action_in_proj"));
}
