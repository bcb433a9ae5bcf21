#include "model/checkpoint/norm_stats.h"

#include <limits>

#include <nlohmann/json.hpp>

#include "tests/model/checkpoint/golden_checkpoints.h"
#include "tests/model/checkpoint/stored_tensors.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"
#include "tests/support/temp_dir.h"

namespace vlaserve {
namespace {

using nlohmann::json;

PolicySettings Settings() {
  PolicySettings settings;
  settings.name = "test";
  settings.asset_id = "maker/robot";
  settings.state_dim = 2;
  settings.output_action_dim = 2;
  settings.action_dim = 4;
  return settings;
}

NormStats Stats() {
  NormStats stats;
  stats.state = {{1.5, -2}, {0.1, 0}, std::vector<double>{0, -3}, std::vector<double>{3, -3}};
  stats.actions = {{1, 2, 3}, {4, 5, 6}, std::nullopt, std::nullopt};
  return stats;
}

void ExpectError(const Status& status, StatusCode code, std::initializer_list<std::string> texts) {
  REQUIRE_FALSE(status.ok());
  CAPTURE(status.message());
  CHECK(status.code() == code);
  for (const std::string& text : texts) {
    CAPTURE(text);
    CHECK(status.message().find(text) != std::string::npos);
  }
}

NormStats Load(const TempDir& dir, const PolicySettings& settings, const std::string& path = "") {
  const Result<NormStats> stats = LoadNormStats(PosixFileSystem(), dir.path(), path, settings);
  INFO(stats.status().message());
  REQUIRE(stats.ok());
  return *stats;
}

std::vector<double> ToFloat32(std::vector<double> values) {
  for (double& value : values) value = static_cast<float>(value);
  return values;
}

// A LeRobot checkpoint's processor files with statistics of two state and three action dimensions.
void WriteLerobotStats(const TempDir& dir) {
  dir.Write("policy_preprocessor.json", R"({"steps": [{"registry_name": "normalizer_processor",
    "config": {}, "state_file": "pre_step_9.safetensors"}]})");
  dir.Write("policy_postprocessor.json", R"({"steps": [{"registry_name": "unnormalizer_processor",
    "config": {}, "state_file": "post_step_4.safetensors"}]})");
  WriteTensors(dir.File("pre_step_9.safetensors"),
               {{"observation.state.mean", VectorTensor({1, 2})},
                {"observation.state.std", VectorTensor({0.5F, 0.25F})},
                {"observation.images.top.mean", FilledTensor("", {3, 1, 1})},
                {"action.mean", VectorTensor({9, 9, 9})},
                {"action.std", VectorTensor({9, 9, 9})}});
  WriteTensors(dir.File("post_step_4.safetensors"), {{"action.mean", VectorTensor({1, 2, 3})},
                                                     {"action.std", VectorTensor({4, 5, 6})},
                                                     {"action.q01", VectorTensor({-1, -2, -3})},
                                                     {"action.q99", VectorTensor({7, 8, 9})}});
}

}  // namespace

TEST_CASE("statistics survive writing and reading") {
  const NormStats stats = Stats();
  const Result<NormStats> again = ParseNormStats(NormStatsToJson(stats), "again");
  INFO(again.status().message());
  REQUIRE(again.ok());
  CHECK(*again == stats);
}

TEST_CASE("statistics are looked for below the asset folder first, a given path beats all") {
  TempDir dir;
  NormStats stats = Stats();
  const auto write = [&](const std::string& name, double mark) {
    stats.state.mean[0] = mark;
    return dir.Write(name, NormStatsToJson(stats));
  };
  write("norm_stats.json", 3);
  CHECK(Load(dir, Settings()).state.mean[0] == 3);
  write("assets/norm_stats.json", 2);
  CHECK(Load(dir, Settings()).state.mean[0] == 2);
  write("assets/maker/robot/norm_stats.json", 1);
  CHECK(Load(dir, Settings()).state.mean[0] == 1);
  const std::string other = write("elsewhere/other.json", 0);
  CHECK(Load(dir, Settings(), other).state.mean[0] == 0);
  ExpectError(
      LoadNormStats(PosixFileSystem(), dir.path(), dir.File("typo.json"), Settings()).status(),
      StatusCode::kNotFound, {"typo.json"});
}

TEST_CASE("missing statistics are an error that lists the places and the way out") {
  TempDir dir;
  WriteTensors(dir.File("model.safetensors"), {{"x", VectorTensor({1})}});
  ExpectError(LoadNormStats(PosixFileSystem(), dir.path(), "", Settings()).status(),
              StatusCode::kNotFound,
              {"assets/maker/robot/norm_stats.json", "assets/norm_stats.json",
               "policy_preprocessor.json", "--norm-stats", "copy the assets folder"});
}

TEST_CASE("damaged statistics are refused by key") {
  const std::pair<std::string, std::string> cases[] = {
      {R"({"norm_stats": null})", "s.json: /norm_stats"},
      {R"({"norm_stats": {"actions": null}})", "/norm_stats/actions"},
      {R"({"norm_stats": {"state": {"mean": null}}})", "/norm_stats/state/mean"},
      {R"({"norm_stats": {"state": {"std": [0.1, "x"]}}})", "number at index 1"},
      {R"({"norm_stats": {"state": {"q01": 1}}})", "expected an array"},
  };
  for (const auto& [patch, text] : cases) {
    CAPTURE(patch);
    json value = json::parse(NormStatsToJson(Stats()));
    value.merge_patch(json::parse(patch));
    ExpectError(ParseNormStats(value.dump(), "s.json").status(), StatusCode::kUnreadable, {text});
  }
}

TEST_CASE("statistics that do not fit the policy are refused") {
  const auto check = [](const NormStats& stats, const PolicySettings& settings) {
    return CheckNormStats(stats, settings, 4, "s.json");
  };
  CHECK(check(Stats(), Settings()).ok());
  constexpr StatusCode kUnfit = StatusCode::kFailedPrecondition;

  NormStats stats = Stats();
  stats.actions.std[1] = -1;
  ExpectError(check(stats, Settings()), kUnfit, {"s.json", "actions.std", "value 1 is -1"});
  stats = Stats();
  stats.state.mean[0] = std::numeric_limits<double>::quiet_NaN();
  ExpectError(check(stats, Settings()), kUnfit, {"state.mean", "value 0", "finite"});
  stats = Stats();
  stats.state.std[0] = std::numeric_limits<double>::infinity();
  ExpectError(check(stats, Settings()), kUnfit, {"state.std", "value 0", "finite"});
  stats = Stats();
  stats.state.std.pop_back();
  ExpectError(check(stats, Settings()), kUnfit, {"state.std", "expected 2 values", "found 1"});
  stats = Stats();
  stats.state.q99->push_back(1);
  ExpectError(check(stats, Settings()), kUnfit, {"state.q99", "found 3"});
  stats = Stats();
  (*stats.state.q01)[1] = -2;
  ExpectError(check(stats, Settings()), kUnfit, {"state.q01", "value 1", "above q99"});

  PolicySettings settings = Settings();
  settings.state_dim = 3;
  ExpectError(check(Stats(), settings), kUnfit, {"state", "at least 3", "found 2"});
  settings = Settings();
  settings.output_action_dim = 4;
  ExpectError(check(Stats(), settings), kUnfit, {"actions", "at least 4", "found 3"});
  ExpectError(CheckNormStats(Stats(), Settings(), 2, "s.json"), kUnfit, {"at most 2", "found 3"});
  settings = Settings();
  settings.normalization = Normalization::kQuantile;
  ExpectError(check(Stats(), settings), kUnfit, {"actions", "no q01 or q99"});
  stats = Stats();
  stats.actions.q01 = std::vector<double>{0, 0, 0};
  stats.actions.q99 = std::vector<double>{1, 1, 1};
  CHECK(check(stats, settings).ok());
}

TEST_CASE("the statistics of a checkpoint are checked against the policy") {
  TempDir dir;
  dir.Write("norm_stats.json", NormStatsToJson(Stats()));
  PolicySettings settings = Settings();
  settings.action_dim = 2;
  ExpectError(LoadNormStats(PosixFileSystem(), dir.path(), "", settings).status(),
              StatusCode::kFailedPrecondition, {"norm_stats.json", "actions"});
}

TEST_CASE("LeRobot's statistics come from the files that the processors name") {
  TempDir dir;
  WriteLerobotStats(dir);
  const NormStats stats = Load(dir, Settings());
  CHECK(stats.state.mean == std::vector<double>{1, 2});
  CHECK(stats.state.std == std::vector<double>{0.5, 0.25});
  CHECK_FALSE(stats.state.q01.has_value());
  CHECK(stats.actions.mean == std::vector<double>{1, 2, 3});
  CHECK(stats.actions.q99 == std::vector<double>{7, 8, 9});
}

TEST_CASE("LeRobot files without statistics are an error, never an identity") {
  TempDir dir;
  WriteLerobotStats(dir);
  WriteTensors(dir.File("pre_step_9.safetensors"),
               {{"observation.state.mean", VectorTensor({1, 2})}});
  ExpectError(LoadNormStats(PosixFileSystem(), dir.path(), "", Settings()).status(),
              StatusCode::kUnreadable, {"pre_step_9.safetensors", "observation.state.std"});
  dir.Write("policy_preprocessor.json", R"({"steps": [{"registry_name": "normalizer_processor",
    "config": {}}]})");
  ExpectError(LoadNormStats(PosixFileSystem(), dir.path(), "", Settings()).status(),
              StatusCode::kUnreadable, {"policy_preprocessor.json", "state_file"});
  WriteLerobotStats(dir);
  WriteTensors(dir.File("post_step_4.safetensors"),
               {{"action.mean", FilledTensor("", {1, 2})}, {"action.std", VectorTensor({1, 2})}});
  ExpectError(LoadNormStats(PosixFileSystem(), dir.path(), "", Settings()).status(),
              StatusCode::kUnreadable, {"action.mean", "one dimension", "[1, 2]"});
}

TEST_CASE("LeRobot's first layout keeps its statistics among the weights") {
  TempDir dir;
  WriteTensors(dir.File("model.safetensors"),
               {{"normalize_inputs.buffer_observation_state.mean", VectorTensor({1, 2})},
                {"normalize_inputs.buffer_observation_state.std", VectorTensor({3, 4})},
                {"normalize_targets.buffer_action.mean", VectorTensor({0, 0})},
                {"unnormalize_outputs.buffer_action.mean", VectorTensor({5, 6})},
                {"unnormalize_outputs.buffer_action.std", VectorTensor({7, 8})}});
  const NormStats stats = Load(dir, Settings());
  CHECK(stats.state.mean == std::vector<double>{1, 2});
  CHECK(stats.actions.std == std::vector<double>{7, 8});
}

TEST_CASE("the statistics of golden checkpoints are read and fit their policies") {
  size_t cases = 0;
  for (const std::string& name : GoldenCheckpoints(false)) {
    const std::string file = name + "/assets/physical-intelligence/libero/norm_stats.json";
    if (!HasGolden(file)) continue;
    CAPTURE(name);
    const json expected = ReadGoldenJson(file)["norm_stats"];
    PolicySettings settings = Settings();
    settings.asset_id = "physical-intelligence/libero";
    settings.action_dim = ReadGoldenJson(name + "/geometry.json")["action_dim"].get<int64_t>();
    settings.state_dim = static_cast<int64_t>(expected["state"]["mean"].size());
    settings.output_action_dim = static_cast<int64_t>(expected["actions"]["mean"].size());
    settings.normalization = Normalization::kQuantile;
    const Result<NormStats> stats =
        LoadNormStats(PosixFileSystem(), GoldenPath(name), "", settings);
    INFO(stats.status().message());
    REQUIRE(stats.ok());
    CHECK(stats->state.mean == expected["state"]["mean"].get<std::vector<double>>());
    CHECK(stats->state.q01 == expected["state"]["q01"].get<std::vector<double>>());
    CHECK(stats->actions.std == expected["actions"]["std"].get<std::vector<double>>());
    CHECK(stats->actions.q99 == expected["actions"]["q99"].get<std::vector<double>>());
    ++cases;

    // LeRobot's folder holds the same numbers in float32.
    const std::string lerobot = name + "_lerobot";
    if (!HasGolden(lerobot)) continue;
    const Result<NormStats> rounded =
        LoadNormStats(PosixFileSystem(), GoldenPath(lerobot), "", settings);
    INFO(rounded.status().message());
    REQUIRE(rounded.ok());
    CHECK(rounded->state.mean == ToFloat32(stats->state.mean));
    CHECK(rounded->state.std == ToFloat32(stats->state.std));
    CHECK(*rounded->actions.q01 == ToFloat32(*stats->actions.q01));
    CHECK(*rounded->actions.q99 == ToFloat32(*stats->actions.q99));
    ++cases;
  }
  ReportGoldenCases("normalisation statistics", cases);
}

}  // namespace vlaserve
