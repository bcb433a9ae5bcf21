#include "model/checkpoint/lerobot_settings.h"

#include <nlohmann/json.hpp>

#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"

namespace vlaserve {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

// A LeRobot checkpoint's JSON files; the features are ordered unlike the alphabet.
struct Files {
  ordered_json config = ordered_json::parse(R"({
    "type": "pi0", "chunk_size": 50, "num_inference_steps": 10, "empty_cameras": 1,
    "use_relative_actions": false,
    "input_features": {
      "observation.images.top": {"type": "VISUAL", "shape": [3, 256, 256]},
      "observation.state": {"type": "STATE", "shape": [6]},
      "observation.images.left": {"type": "VISUAL", "shape": [3, 256, 256]},
      "observation.images.empty_camera_0": {"type": "VISUAL", "shape": [3, 224, 224]}
    },
    "output_features": {"action": {"type": "ACTION", "shape": [7]}},
    "normalization_mapping": {"VISUAL": "IDENTITY", "STATE": "MEAN_STD", "ACTION": "MEAN_STD"}})");
  json pre = json::parse(R"({"name": "policy_preprocessor", "steps": [
    {"registry_name": "rename_observations_processor", "config": {"rename_map": {}}},
    {"registry_name": "to_batch_processor", "config": {}},
    {"registry_name": "relative_actions_processor",
     "config": {"enabled": false, "exclude_joints": ["gripper"], "action_names": null}},
    {"registry_name": "normalizer_processor", "state_file": "pre.safetensors",
     "config": {"eps": 1e-8, "norm_map": {"STATE": "MEAN_STD", "ACTION": "MEAN_STD"}}}]})");
  json post = json::parse(R"({"name": "policy_postprocessor", "steps": [
    {"registry_name": "unnormalizer_processor", "state_file": "post.safetensors",
     "config": {"eps": 1e-8, "norm_map": {"STATE": "MEAN_STD", "ACTION": "MEAN_STD"}}},
    {"registry_name": "absolute_actions_processor", "config": {"enabled": false}}]})");

  Result<PolicySettings> Settings() const {
    TempDir dir;
    dir.Write("config.json", config.dump());
    if (!pre.is_null()) dir.Write("policy_preprocessor.json", pre.dump());
    if (!post.is_null()) dir.Write("policy_postprocessor.json", post.dump());
    return LerobotSettings(PosixFileSystem(), dir.path());
  }

  PolicySettings SettingsOk() const {
    Result<PolicySettings> settings = Settings();
    INFO(settings.status().message());
    REQUIRE(settings.ok());
    return *settings;
  }
};

void ExpectError(const Files& files, StatusCode code, std::initializer_list<std::string> texts) {
  const Result<PolicySettings> settings = files.Settings();
  REQUIRE_FALSE(settings.ok());
  CAPTURE(settings.status().message());
  CHECK(settings.status().code() == code);
  for (const std::string& text : texts) {
    CAPTURE(text);
    CHECK(settings.status().message().find(text) != std::string::npos);
  }
}

}  // namespace

TEST_CASE("cameras come in the order of input_features, empty ones without a name") {
  const PolicySettings settings = Files().SettingsOk();
  REQUIRE(settings.cameras.size() == 3);
  CHECK(settings.cameras[0].slot == "base_0_rgb");
  CHECK(settings.cameras[0].name == "top");
  CHECK(settings.cameras[0].observation_key == "observation.images.top");
  CHECK(settings.cameras[1].slot == "left_wrist_0_rgb");
  CHECK(settings.cameras[1].name == "left");
  CHECK(settings.cameras[2].slot == "right_wrist_0_rgb");
  CHECK_FALSE(settings.cameras[2].name.has_value());
  CHECK(settings.state_dim == 6);
  CHECK(settings.output_action_dim == 7);
  CHECK(settings.type == PolicyType::kPi0);
  CHECK(settings.prompt_format == PromptFormat::kLerobotPi0);
}

TEST_CASE("empty cameras that only their number announces get slots as well") {
  Files files;
  files.config["empty_cameras"] = 2;
  const PolicySettings settings = files.SettingsOk();
  REQUIRE(settings.cameras.size() == 4);
  CHECK_FALSE(settings.cameras[3].name.has_value());
  CHECK(settings.cameras[3].slot == "camera_3");
}

TEST_CASE("a renamed observation gives the camera its name on the wire") {
  Files files;
  files.pre["steps"][0]["config"]["rename_map"] = {
      {"observation.images.front", "observation.images.top"}};
  const PolicySettings settings = files.SettingsOk();
  CHECK(settings.cameras[0].name == "front");
  CHECK(settings.cameras[0].observation_key == "observation.images.front");
  CHECK(settings.cameras[1].name == "left");
  files.pre["steps"][0]["config"]["rename_map"] = {{"x.left", "observation.images.top"}};
  ExpectError(files, StatusCode::kUnreadable, {"two cameras would be named \"left\""});
}

TEST_CASE("the normalisation is what the processors do, else what the configuration says") {
  Files files;
  files.config["normalization_mapping"]["STATE"] = "QUANTILES";
  CHECK(files.SettingsOk().normalization == Normalization::kZScore);
  files.pre["steps"][3]["config"]["norm_map"]["STATE"] = "QUANTILES";
  ExpectError(files, StatusCode::kUnsupported, {"found QUANTILES and MEAN_STD", "--policy"});
  files.post["steps"][0]["config"]["norm_map"]["ACTION"] = "QUANTILES";
  CHECK(files.SettingsOk().normalization == Normalization::kQuantile);

  Files old;
  old.pre = nullptr;
  old.post = nullptr;
  CHECK(old.SettingsOk().normalization == Normalization::kZScore);
  old.config["normalization_mapping"] = {{"STATE", "MIN_MAX"}, {"ACTION", "MIN_MAX"}};
  ExpectError(old, StatusCode::kUnsupported, {"normalization_mapping", "found MIN_MAX"});
  old.config.erase("normalization_mapping");
  ExpectError(old, StatusCode::kUnsupported, {"found nothing and nothing"});

  Files eps;
  eps.pre["steps"][3]["config"]["eps"] = 1e-6;
  ExpectError(eps, StatusCode::kUnsupported, {"policy_preprocessor.json", "eps"});
}

TEST_CASE("relative actions become a delta action mask that spares the excluded joints") {
  Files files;
  files.config["use_relative_actions"] = true;
  ExpectError(files, StatusCode::kUnsupported, {"disagree"});
  files.pre["steps"][2]["config"]["enabled"] = true;
  files.post["steps"][1]["config"]["enabled"] = true;
  ExpectError(files, StatusCode::kUnsupported, {"action 6 is an offset", "only 6 dimensions"});
  files.pre["steps"][2]["config"]["action_names"] = {"j0", "j1", "j2",     "Left_GRIPPER.pos",
                                                     "j4", "j5", "gripper"};
  CHECK(files.SettingsOk().delta_action_mask ==
        std::vector<bool>{true, true, true, false, true, true, false});
  files.config["input_features"]["observation.state"]["shape"] = {7};
  files.pre["steps"][2]["config"]["action_names"] = nullptr;
  CHECK(files.SettingsOk().delta_action_mask == std::vector<bool>(7, true));
}

TEST_CASE("what the settings cannot express is refused with a way out") {
  Files step;
  step.pre["steps"].push_back({{"registry_name", "my_rotation_processor"}});
  ExpectError(step, StatusCode::kUnsupported,
              {"policy_preprocessor.json", "\"my_rotation_processor\"", "--policy"});
  Files memory;
  memory.config["use_visual_memory"] = true;
  ExpectError(memory, StatusCode::kUnsupported, {"use_visual_memory"});
  Files features;
  features.config.erase("input_features");
  ExpectError(features, StatusCode::kUnreadable, {"config.json: /input_features"});
  Files cameras;
  cameras.config["input_features"].erase("observation.images.top");
  cameras.config["input_features"].erase("observation.images.left");
  ExpectError(cameras, StatusCode::kUnreadable, {"/input_features", "no camera"});
  Files state;
  state.config["input_features"].erase("observation.state");
  ExpectError(state, StatusCode::kUnreadable, {"no feature of type STATE", "--policy"});
  Files map;
  map.pre["steps"][0]["config"]["rename_map"] = {{"a", 1}};
  ExpectError(map, StatusCode::kUnreadable,
              {"policy_preprocessor.json: /steps/0/config/rename_map/a", "expected a string"});
  Files path;
  path.pre["steps"][3]["state_file"] = "../secret";
  ExpectError(path, StatusCode::kUnreadable, {"/steps/3/state_file", "beside this one"});
}

}  // namespace vlaserve
