// What a policy promises beyond its numbers: savings, determinism, interruption, bad results.

#include "model/policy/torch_policy.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "model/policy/check.h"
#include "model/policy/create_policy.h"
#include "model/policy/runtime.h"
#include "model/transforms/noise.h"
#include "tests/model/policy/exported.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"
#include "tests/support/matchers.h"

namespace vlaserve {
namespace {

// Before the first test touches LibTorch, as main does in the server.
const bool kRuntimeReady = InitializeRuntime(2).ok();

// All cases of a folder as model inputs.
std::vector<GoldenModelCase> ModelCases(const std::string& folder, const TorchPolicy& policy) {
  Result<GoldenFolder> golden = ReadGoldenFolder(PosixFileSystem(), GoldenPath(folder), "actions",
                                                 policy.geometry(), policy.settings());
  INFO(golden.status().message());
  REQUIRE(golden.ok());
  return golden->model_cases;
}

std::vector<float> Sample(TorchPolicy& policy, const ModelInput& input) {
  Result<std::vector<float>> actions = policy.model().SampleActions(input, {}, nullptr);
  INFO(actions.status().message());
  REQUIRE(actions.ok());
  return *std::move(actions);
}

// The first checkpoint of each type is enough for what does not depend on sizes.
std::vector<std::string> Folders() {
  std::vector<std::string> folders = GoldenModelFolders();
  REQUIRE_FALSE(folders.empty());
  return folders;
}

}  // namespace

TEST_CASE("Every exact saving can be switched off alone and with all others") {
  for (const std::string& folder : Folders()) {
    const auto archive = ExportGolden(folder, SettingsFor(folder));
    // All cases where everything is off; else those of few steps, which are the quick ones.
    int64_t fewest = std::numeric_limits<int64_t>::max();
    for (const GoldenModelCase& golden : ModelCases(folder, *MakePolicy(*archive))) {
      fewest = std::min(fewest, golden.input.num_steps);
    }
    for (unsigned bits = 0; bits < 16; ++bits) {
      size_t compared = 0;
      const ExactSavings savings = {.drop_masked = (bits & 1U) != 0,
                                    .last_layer_kv_only = (bits & 2U) != 0,
                                    .state_token_once = (bits & 4U) != 0,
                                    .step_table = (bits & 8U) != 0};
      const auto policy = MakePolicy(*archive, {.savings = savings});
      for (const GoldenModelCase& golden : ModelCases(folder, *policy)) {
        if (bits != 0 && golden.input.num_steps > std::max<int64_t>(fewest, 9)) continue;
        INFO(folder << " " << golden.name << ", savings " << bits);
        CHECK(MaxAbsDiff(Sample(*policy, golden.input), golden.actions.values) <= 1e-5);
        ++compared;
      }
      CHECK(compared > 0);
    }
  }
}

TEST_CASE("A dropped picture never enters the model") {
  const std::string folder = Folders().front();
  const auto archive = ExportGolden(folder, SettingsFor(folder));
  const auto with = MakePolicy(*archive);
  const auto without = MakePolicy(*archive, {.savings = {.drop_masked = false}});
  ModelInput input = ModelCases(folder, *with).front().input;
  CameraInput poison;
  const int64_t side = with->geometry().image_size;
  poison.pixels.assign(static_cast<size_t>(3 * side * side),
                       std::numeric_limits<float>::quiet_NaN());
  input.cameras.back() = poison;
  const auto finite = [&](TorchPolicy& policy) {
    const Result<std::vector<float>> actions = policy.model().SampleActions(input, {}, nullptr);
    return actions.ok() && std::all_of(actions->begin(), actions->end(),
                                       [](float value) { return std::isfinite(value); });
  };
  CHECK(finite(*with));
  // A weight of zero does not keep NaN out: it was computed with.
  CHECK_FALSE(finite(*without));
}

TEST_CASE("A float32 policy gives the same bytes with one and two threads") {
  REQUIRE(kRuntimeReady);
  for (const std::string& folder : Folders()) {
    const auto archive = ExportGolden(folder, SettingsFor(folder));
    const auto policy = MakePolicy(*archive);
    for (const GoldenModelCase& golden : ModelCases(folder, *policy)) {
      INFO(folder << " " << golden.name);
      REQUIRE(InitializeRuntime(1).ok());
      REQUIRE(RuntimeThreads() == 1);
      const std::vector<float> one = Sample(*policy, golden.input);
      REQUIRE(InitializeRuntime(2).ok());
      REQUIRE(RuntimeThreads() == 2);
      CHECK(Sample(*policy, golden.input) == one);
    }
  }
}

TEST_CASE("A seed is the noise that it stands for, and is reported") {
  for (const std::string& folder : Folders()) {
    const auto archive = ExportGolden(folder, SettingsFor(folder));
    const auto policy = MakePolicy(*archive);
    const Observation observation = TestObservation(policy->settings());
    const int64_t size = policy->geometry().horizon * policy->geometry().action_dim;
    const Result<ActionChunk> seeded = policy->Infer(observation, {.seed = 7}, {});
    INFO(seeded.status().message());
    REQUIRE(seeded.ok());
    CHECK(seeded->seed == 7);
    const Result<ActionChunk> again = policy->Infer(observation, {.seed = 7}, {});
    const Result<ActionChunk> other = policy->Infer(observation, {.seed = 8}, {});
    const Result<ActionChunk> explicit_noise =
        policy->Infer(observation, {.noise = GaussianNoise(7, size)}, {});
    REQUIRE(again.ok());
    REQUIRE(other.ok());
    REQUIRE(explicit_noise.ok());
    CHECK(again->actions == seeded->actions);
    CHECK(other->actions != seeded->actions);
    CHECK(explicit_noise->actions == seeded->actions);
    CHECK(explicit_noise->seed == 0);
    CHECK(policy->Infer(observation, {}, {}).status().field() == "seed");
  }
}

TEST_CASE("The configured number of steps is the one of requests that name none") {
  const std::string folder = Folders().front();
  const auto archive = ExportGolden(folder, SettingsFor(folder));
  const auto policy = MakePolicy(*archive, {.num_steps = 3});
  const Observation observation = TestObservation(policy->settings());
  const Result<ActionChunk> implied = policy->Infer(observation, {.seed = 1}, {});
  const Result<ActionChunk> named = policy->Infer(observation, {.seed = 1, .num_steps = 3}, {});
  const Result<ActionChunk> other = policy->Infer(observation, {.seed = 1, .num_steps = 4}, {});
  REQUIRE(implied.ok());
  REQUIRE(named.ok());
  REQUIRE(other.ok());
  CHECK(implied->actions == named->actions);
  CHECK(implied->actions != other->actions);
}

TEST_CASE("Tables for many numbers of steps are made on demand and stay right") {
  for (const std::string& folder : Folders()) {
    const auto archive = ExportGolden(folder, SettingsFor(folder));
    const auto with = MakePolicy(*archive);
    const auto without = MakePolicy(*archive, {.savings = {.step_table = false}});
    ModelInput input = ModelCases(folder, *with).front().input;
    for (const int64_t steps : {1, 2, 3, 4, 5, 10, 1, 5, 10}) {
      INFO(folder << " " << steps);
      input.num_steps = steps;
      CHECK(MaxAbsDiff(Sample(*with, input), Sample(*without, input)) <= 1e-5);
    }
  }
}

TEST_CASE("An inference ends between steps when its interrupt says so, and the next one works") {
  const std::string folder = Folders().front();
  const auto archive = ExportGolden(folder, SettingsFor(folder));
  const auto policy = MakePolicy(*archive);
  const Observation observation = TestObservation(policy->settings());
  const InferOptions options = {.seed = 3, .num_steps = 5};
  int calls = 0;
  const Result<ActionChunk> undisturbed = policy->Infer(observation, options, [&] {
    ++calls;
    return Status::Ok();
  });
  REQUIRE(undisturbed.ok());
  // Before vision, before the prefix, before each step.
  CHECK(calls == 2 + 5);
  for (int stop = 1; stop <= calls; ++stop) {
    int seen = 0;
    const Result<ActionChunk> stopped = policy->Infer(observation, options, [&] {
      return ++seen < stop ? Status::Ok() : Status(StatusCode::kCancelled, "gone");
    });
    CHECK(stopped.status().code() == StatusCode::kCancelled);
    CHECK(seen == stop);
  }
  const Result<ActionChunk> next = policy->Infer(observation, options, {});
  REQUIRE(next.ok());
  CHECK(next->actions == undisturbed->actions);
}

TEST_CASE("A result that is not finite is an internal error without a payload") {
  for (const std::string& folder : Folders()) {
    const auto archive = ExportGolden(folder, SettingsFor(folder));
    const auto policy = MakePolicy(*archive);
    const Observation observation = TestObservation(policy->settings());
    InferOptions options;
    options.noise.assign(
        static_cast<size_t>(policy->geometry().horizon * policy->geometry().action_dim),
        std::numeric_limits<float>::max());
    const Result<ActionChunk> chunk = policy->Infer(observation, options, {});
    CHECK(chunk.status().code() == StatusCode::kInternal);
    CHECK_THAT(chunk.status().message(), ContainsText("not finite"));
    CHECK(policy->Infer(observation, {.seed = 1}, {}).ok());
  }
}

TEST_CASE("A state too far from the statistics is refused") {
  const std::string folder = Folders().front();
  const auto archive = ExportGolden(folder, SettingsFor(folder));
  const auto policy = MakePolicy(*archive);
  Observation observation = TestObservation(policy->settings());
  observation.state[2] = 1e300;
  const Status status = policy->Infer(observation, {.seed = 1}, {}).status();
  CHECK(status.code() == StatusCode::kInvalidArgument);
  CHECK(status.field() == "state");
  CHECK_THAT(status.message(), ContainsText("value 2"));
}

TEST_CASE("An optional camera may be absent and is then an empty slot") {
  const std::string folder = Folders().front();
  PolicySettings settings = SettingsFor(folder);
  std::string name;
  for (Camera& camera : settings.cameras) {
    if (!camera.name) continue;
    camera.optional = !name.empty();
    name = *camera.name;
  }
  const auto archive = ExportGolden(folder, settings);
  const auto policy = MakePolicy(*archive);
  Observation observation = TestObservation(policy->settings());
  const Result<ActionChunk> full = policy->Infer(observation, {.seed = 1}, {});
  observation.images.erase(name);
  const Result<ActionChunk> partial = policy->Infer(observation, {.seed = 1}, {});
  INFO(partial.status().message());
  REQUIRE(full.ok());
  REQUIRE(partial.ok());
  CHECK(full->actions != partial->actions);
}

TEST_CASE("An over-long prompt is truncated and reported") {
  const std::string folder = Folders().front();
  const auto archive = ExportGolden(folder, SettingsFor(folder));
  const auto policy = MakePolicy(*archive);
  Observation observation = TestObservation(policy->settings());
  const Result<ActionChunk> fitting = policy->Infer(observation, {.seed = 1, .num_steps = 1}, {});
  REQUIRE(fitting.ok());
  CHECK_FALSE(fitting->prompt_truncated);
  observation.prompt = std::string(static_cast<size_t>(policy->geometry().prompt_slots) * 40, 'q');
  const Result<ActionChunk> chunk = policy->Infer(observation, {.seed = 1, .num_steps = 1}, {});
  REQUIRE(chunk.ok());
  CHECK(chunk->prompt_truncated);
}

TEST_CASE("Warm-up works before and after requests, in both dtypes and without savings") {
  const ExactSavings none = {.drop_masked = false,
                             .last_layer_kv_only = false,
                             .state_token_once = false,
                             .step_table = false};
  for (const std::string& folder : Folders()) {
    const auto archive = ExportGolden(folder, SettingsFor(folder));
    for (const PolicyOptions& options : {PolicyOptions(), PolicyOptions{.savings = none},
                                         PolicyOptions{.compute_dtype = ComputeDtype::kBfloat16}}) {
      const auto policy = MakePolicy(*archive, options);
      const Status warm = policy->WarmUp();
      INFO(warm.message());
      CHECK(warm.ok());
      const InferOptions request = {.seed = 1, .num_steps = 1};
      CHECK(policy->Infer(TestObservation(policy->settings()), request, {}).ok());
      CHECK(policy->WarmUp().ok());
    }
  }
}

TEST_CASE("Model inputs that do not fit are refused before anything runs") {
  const std::string folder = Folders().front();
  const auto archive = ExportGolden(folder, SettingsFor(folder));
  const auto policy = MakePolicy(*archive);
  const ModelInput good = ModelCases(folder, *policy).front().input;
  const auto message = [&](auto change) {
    ModelInput input = good;
    change(input);
    const Status status = policy->model().SampleActions(input, {}, nullptr).status();
    CHECK(status.code() == StatusCode::kInvalidArgument);
    return status.message();
  };
  CHECK_THAT(message([](ModelInput& m) { m.tokens[0] = 1 << 30; }), ContainsText("vocabulary"));
  CHECK_THAT(message([](ModelInput& m) { m.tokens[0] = -1; }), ContainsText("vocabulary"));
  CHECK_THAT(message([](ModelInput& m) { m.tokens.pop_back(); }), ContainsText("token mask"));
  CHECK_THAT(message([](ModelInput& m) { m.noise.pop_back(); }), ContainsText("noise"));
  CHECK_THAT(message([](ModelInput& m) { m.num_steps = 0; }), ContainsText("num_steps"));
  CHECK_THAT(message([](ModelInput& m) { m.cameras[0].pixels.pop_back(); }),
             ContainsText("camera slot 0"));
  CHECK_THAT(message([](ModelInput& m) {
               for (CameraInput& camera : m.cameras) camera.valid = false;
               m.token_mask.assign(m.token_mask.size(), 0);
             }),
             ContainsText("no valid camera"));
}

}  // namespace vlaserve
