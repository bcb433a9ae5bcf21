#include "model/settings/policy_settings.h"

#include <functional>
#include <string>

#include <nlohmann/json.hpp>

#include "model/io/file_system.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

using nlohmann::json;

json Minimal() {
  return json::parse(R"({
    "format": 1, "name": "test", "type": "pi0", "state_dim": 8, "output_action_dim": 7,
    "cameras": [{"slot": "base_0_rgb", "observation_key": "observation/image"},
                {"slot": "left_wrist_0_rgb", "observation_key": null}]})");
}

PolicySettings Parse(const json& value) {
  Result<PolicySettings> settings = ParsePolicySettings(value.dump(), "test.json");
  INFO(settings.status().message());
  REQUIRE(settings.ok());
  return *settings;
}

// Applies a JSON merge patch to the minimal settings, then expects a failure at `pointer` whose
// message contains `text`.
void ExpectError(const std::string& patch, const std::string& pointer, const std::string& text) {
  CAPTURE(patch, pointer, text);
  json value = Minimal();
  value.merge_patch(json::parse(patch));
  const Result<PolicySettings> settings = ParsePolicySettings(value.dump(), "test.json");
  REQUIRE_FALSE(settings.ok());
  CAPTURE(settings.status().message());
  CHECK(settings.status().code() == StatusCode::kInvalidArgument);
  CHECK(settings.status().field().empty());
  CHECK(settings.status().message().find("test.json: " + pointer + ": ") == 0);
  CHECK(settings.status().message().find(text) != std::string::npos);
}

// The form of the embedded demo policy's file, which must stay readable.
constexpr const char* kDemoForm = R"({
  "format": 1, "name": "demo", "type": "pi0", "action_dim": 32, "action_horizon": 16,
  "max_token_len": 48, "num_steps": 10, "state_dim": 8, "output_action_dim": 7,
  "asset_id": "physical-intelligence/libero", "normalization": "z_score",
  "delta_action_mask": null,
  "cameras": [{"slot": "base_0_rgb", "observation_key": "observation/image"},
              {"slot": "left_wrist_0_rgb", "observation_key": "observation/wrist_image"},
              {"slot": "right_wrist_0_rgb", "observation_key": null}],
  "image": {"size": 224, "patch_size": 32, "resize": "pillow_bilinear_with_pad"},
  "state_in_prompt": false,
  "prompt_format": "bos + prompt, then newline encoded on its own",
  "rope_inv_freq": "exact",
  "client": {"suite": "libero_object", "settle_action": [0, 0, -1], "max_steps": 280}})";

}  // namespace

TEST_CASE("the demo policy's form is read, its descriptive prompt format included") {
  const PolicySettings settings = Parse(json::parse(kDemoForm));
  CHECK(settings.name == "demo");
  CHECK(settings.type == PolicyType::kPi0);
  CHECK(settings.horizon == 16);
  CHECK(settings.prompt_slots == 48);
  CHECK(settings.action_dim == 32);
  CHECK(settings.image_size == 224);
  CHECK(settings.patch_size == 32);
  CHECK(settings.state_dim == 8);
  CHECK(settings.output_action_dim == 7);
  CHECK(settings.normalization == Normalization::kZScore);
  CHECK(settings.delta_action_mask.empty());
  CHECK(settings.prompt_format == PromptFormat::kPi0);
  CHECK(settings.rope_inv_freq == RopeInvFreq::kExact);
  REQUIRE(settings.cameras.size() == 3);
  CHECK(settings.cameras[0].name == "image");
  CHECK(settings.cameras[1].name == "wrist_image");
  CHECK_FALSE(settings.cameras[2].name.has_value());
  CHECK(json::parse(settings.client_json)["max_steps"] == 280);
}

TEST_CASE("keys that are left out take the documented defaults") {
  const PolicySettings settings = Parse(Minimal());
  CHECK(settings.num_steps == 10);
  CHECK(settings.normalization == Normalization::kZScore);
  CHECK(settings.convention == Convention::kOpenpi);
  CHECK(settings.resize == ResizeMethod::kPillowBilinearWithPad);
  CHECK(settings.prompt_format == PromptFormat::kPi0);
  CHECK(settings.time_steps == TimeSteps::kOpenpi);
  CHECK_FALSE(settings.horizon.has_value());
  CHECK_FALSE(settings.prompt_slots.has_value());
  CHECK_FALSE(settings.rope_inv_freq.has_value());
  CHECK_FALSE(settings.default_prompt.has_value());
  CHECK_FALSE(settings.checkpoint_wins);
  CHECK(settings.client_json == "{}");

  json pi05 = Minimal();
  pi05["type"] = "pi05";
  pi05["state_in_prompt"] = true;
  const PolicySettings settings05 = Parse(pi05);
  CHECK(settings05.normalization == Normalization::kQuantile);
  CHECK(settings05.prompt_format == PromptFormat::kPi05State);
}

TEST_CASE("a camera's name is the last component of its observation key unless it is given") {
  const auto name = [](const std::string& key) {
    json value = Minimal();
    value["cameras"][0]["observation_key"] = key;
    return *Parse(value).cameras[0].name;
  };
  CHECK(name("observation/wrist/left") == "left");
  CHECK(name("observation.images.image2") == "image2");
  CHECK(name("obs.v1/cam.high") == "cam.high");
  CHECK(name("top") == "top");
  json value = Minimal();
  value["cameras"][0]["name"] = "front";
  CHECK(Parse(value).cameras[0].name == "front");
}

TEST_CASE("settings survive writing and reading, whatever is set") {
  PolicySettings full;
  full.name = "full";
  full.type = PolicyType::kPi05;
  full.horizon = 7;
  full.prompt_slots = 123;
  full.action_dim = 24;
  full.image_size = 96;
  full.patch_size = 12;
  full.vision_heads = 6;
  full.num_steps = 100;
  full.state_dim = 14;
  full.output_action_dim = 14;
  full.asset_id = "a/b";
  full.normalization = Normalization::kZScore;
  full.convention = Convention::kLerobot;
  full.delta_action_mask = {true, false, true};
  full.cameras = {{"s0", "top", "observation.images.top", false},
                  {"s1", "left", std::nullopt, true},
                  {"s2", std::nullopt, std::nullopt, false}};
  full.resize = ResizeMethod::kTorchBilinearWithPad;
  full.prompt_format = PromptFormat::kLerobotPi0;
  full.default_prompt = "söme \"prompt\"\n";
  full.time_steps = TimeSteps::kLerobot;
  full.rope_inv_freq = RopeInvFreq::kBf16Rounded;
  full.client_json = R"({"a":[1,2.5,null],"b":{"c":true}})";
  const std::string text = PolicySettingsToJson(full);
  CHECK(text.back() == '\n');
  const Result<PolicySettings> again = ParsePolicySettings(text, "again");
  INFO(again.status().message());
  REQUIRE(again.ok());
  CHECK(*again == full);
  CHECK(PolicySettingsToJson(*again) == text);

  for (const json& value : {Minimal(), json::parse(kDemoForm)}) {
    const PolicySettings settings = Parse(value);
    CHECK(Parse(json::parse(PolicySettingsToJson(settings))) == settings);
  }
}

TEST_CASE("bad settings are refused by file, key and expectation") {
  ExpectError(R"({"format": null})", "/format", "no such key");
  ExpectError(R"({"format": 2})", "/format", "expected 1");
  ExpectError(R"({"name": ""})", "/name", "not empty");
  ExpectError(R"({"type": "pi0_fast"})", "/type", R"("pi0" or "pi05")");
  ExpectError(R"({"type": null})", "/type", R"("pi0" or "pi05")");
  ExpectError(R"({"horizon": 50})", "/horizon", "unknown key");
  ExpectError(R"({"num_steps": 0})", "/num_steps", "from 1 to 100");
  ExpectError(R"({"num_steps": 101})", "/num_steps", "from 1 to 100");
  ExpectError(R"({"num_steps": 10.0})", "/num_steps", "an integer");
  ExpectError(R"({"num_steps": "10"})", "/num_steps", "an integer");
  ExpectError(R"({"action_horizon": 18446744073709551615})", "/action_horizon", "found 1844");
  ExpectError(R"({"state_dim": null})", "/state_dim", "no such key");
  ExpectError(R"({"state_dim": 33, "action_dim": 32})", "/state_dim", "at most action_dim 32");
  ExpectError(R"({"output_action_dim": 9, "action_dim": 8})", "/output_action_dim",
              "at most action_dim 8");
  ExpectError(R"({"asset_id": "/etc"})", "/asset_id", "below the checkpoint's assets");
  ExpectError(R"({"asset_id": "a/../../b"})", "/asset_id", "below the checkpoint's assets");
  ExpectError(R"({"normalization": "minmax"})", "/normalization", R"("z_score" or "quantile")");
  ExpectError(R"({"convention": "jax"})", "/convention", R"("openpi" or "lerobot")");
  ExpectError(R"({"time_steps": 10})", "/time_steps", "expected a string");
  ExpectError(R"({"rope_inv_freq": "fp32"})", "/rope_inv_freq", R"("exact" or "bf16_rounded")");
  ExpectError(R"({"image": {"resize": "area"}})", "/image/resize", "pillow_bilinear_with_pad");
  ExpectError(R"({"image": {"width": 224}})", "/image/width", "unknown key");
  ExpectError(R"({"image": 224})", "/image", "expected an object");
  ExpectError(R"({"client": []})", "/client", "expected an object");
  ExpectError(R"({"default_prompt": ""})", "/default_prompt", "not empty");
  ExpectError(R"({"prompt_format": "plain"})", "/prompt_format", R"("pi05_state")");
  ExpectError(R"({"prompt_format": "pi0", "state_in_prompt": true})", "/state_in_prompt",
              "expected false");
  ExpectError(R"({"type": "pi05"})", "/prompt_format", "no default");
}

TEST_CASE("a delta action mask that does not fit is refused") {
  ExpectError(R"({"delta_action_mask": []})", "/delta_action_mask", "found 0");
  ExpectError(R"({"delta_action_mask": [true,true,true,true,true,true,true,true]})",
              "/delta_action_mask", "1 to 7 elements");
  ExpectError(R"({"delta_action_mask": [6, -1]})", "/delta_action_mask",
              "true or false at index 0");
  ExpectError(R"({"delta_action_mask": [false, false, true], "state_dim": 2})",
              "/delta_action_mask", "index 2 is true");
}

TEST_CASE("a camera list that a request could not be matched with is refused") {
  ExpectError(R"({"cameras": null})", "/cameras", "an array of objects");
  ExpectError(R"({"cameras": []})", "/cameras", "at least one");
  ExpectError(R"({"cameras": ["image"]})", "/cameras/0", "expected an object");
  ExpectError(R"({"cameras": [{"slot": "a"}]})", "/cameras", "at least one");
  ExpectError(R"({"cameras": [{"observation_key": "x"}]})", "/cameras/0/slot", "no such key");
  ExpectError(R"({"cameras": [{"slot": "a", "name": "x"}, {"slot": "a", "name": "y"}]})",
              "/cameras/1/slot", "occurs twice");
  ExpectError(R"({"cameras": [{"slot": "a", "name": "x"}, {"slot": "b", "name": "x"}]})",
              "/cameras/1/name", "two cameras are named \"x\"");
  ExpectError(R"({"cameras": [{"slot": "a", "observation_key": "o/x"},
                              {"slot": "b", "observation_key": "p/x"}]})",
              "/cameras/1/observation_key", "two cameras are named \"x\"");
  ExpectError(R"({"cameras": [{"slot": "a", "observation_key": "o/"}]})",
              "/cameras/0/observation_key", "would be empty");
  ExpectError(R"({"cameras": [{"slot": "a", "name": "x"}, {"slot": "b", "optional": true}]})",
              "/cameras/1/optional", "always empty");
  ExpectError(R"({"cameras": [{"slot": "a", "name": "x", "optional": true}]})", "/cameras",
              "every camera is optional");
  ExpectError(R"({"cameras": [{"slot": "a", "name": "x", "key": "y"}]})", "/cameras/0/key",
              "unknown key");
}

TEST_CASE("text that is not a settings object is refused with the file's name") {
  for (const std::string text : {"", "[]", "{\"format\": 1", "{\"format\": 1, \"format\": 1}"}) {
    const Result<PolicySettings> settings = ParsePolicySettings(text, "some.json");
    CAPTURE(text);
    REQUIRE_FALSE(settings.ok());
    CHECK(settings.status().code() == StatusCode::kInvalidArgument);
    CHECK(settings.status().message().find("some.json") == 0);
  }
  const Result<PolicySettings> twice =
      ParsePolicySettings(R"({"client": {"a": 1, "a": 2}})", "some.json");
  CHECK(twice.status().message().find("/client/a") != std::string::npos);
}

TEST_CASE("every example of the format page is valid") {
  const Result<std::string> page = PosixFileSystem().Read(
      VLASERVE_SOURCE_DIR "/model/settings/POLICY_SETTINGS.md", size_t{1} << 20);
  REQUIRE(page.ok());
  const std::string fence = "```json\n";
  size_t examples = 0;
  for (size_t begin = page->find(fence); begin != std::string::npos;
       begin = page->find(fence, begin)) {
    begin += fence.size();
    const std::string text = page->substr(begin, page->find("```", begin) - begin);
    const Result<PolicySettings> settings = ParsePolicySettings(text, "example");
    INFO(settings.status().message());
    CHECK(settings.ok());
    ++examples;
  }
  CHECK(examples >= 3);
}

namespace {

Geometry SmallModel() {
  Geometry g;
  g.type = PolicyType::kPi0;
  g.image_size = 224;
  g.patch_size = 14;
  g.vision_heads = 4;
  g.action_dim = 32;
  g.horizon = 50;
  g.prompt_slots = 48;
  return g;
}

}  // namespace

TEST_CASE("fitting settings to a model fills in every size") {
  const Result<PolicySettings> fitted =
      FitSettingsToModel(Parse(Minimal()), SmallModel(), "test.json");
  INFO(fitted.status().message());
  REQUIRE(fitted.ok());
  CHECK(fitted->horizon == 50);
  CHECK(fitted->prompt_slots == 48);
  CHECK(fitted->action_dim == 32);
  CHECK(fitted->image_size == 224);
  CHECK(fitted->patch_size == 14);
  CHECK(fitted->vision_heads == 4);
}

TEST_CASE("settings that contradict the model are refused with both numbers") {
  struct Case {
    std::function<void(PolicySettings&)> change;
    std::string pointer;
    std::string text;
  };
  const Case cases[] = {
      {[](PolicySettings& s) { s.horizon = 10; }, "/action_horizon",
       "says 10, but the model has 50"},
      {[](PolicySettings& s) { s.prompt_slots = 200; }, "/max_token_len",
       "says 200, but the model has 48"},
      {[](PolicySettings& s) { s.action_dim = 16; }, "/action_dim", "model has 32"},
      {[](PolicySettings& s) { s.image_size = 448; }, "/image/size", "model has 224"},
      {[](PolicySettings& s) { s.patch_size = 16; }, "/image/patch_size", "model has 14"},
      {[](PolicySettings& s) { s.vision_heads = 16; }, "/vision_heads", "model has 4"},
      {[](PolicySettings& s) { s.state_dim = 33; }, "/state_dim", "1 to 32"},
      {[](PolicySettings& s) { s.output_action_dim = 33; }, "/output_action_dim", "1 to 32"},
      {[](PolicySettings& s) { s.type = PolicyType::kPi05; }, "/type", "the model is pi0"},
  };
  for (const Case& test : cases) {
    PolicySettings settings = Parse(Minimal());
    test.change(settings);
    const Result<PolicySettings> fitted = FitSettingsToModel(settings, SmallModel(), "p.json");
    CAPTURE(test.pointer);
    REQUIRE_FALSE(fitted.ok());
    CAPTURE(fitted.status().message());
    CHECK(fitted.status().code() == StatusCode::kInvalidArgument);
    CHECK(fitted.status().field().empty());
    CHECK(fitted.status().message().find("p.json: " + test.pointer + ": ") == 0);
    CHECK(fitted.status().message().find(test.text) != std::string::npos);
  }
}

TEST_CASE("with checkpoint_wins the model's sizes replace those of the settings, not its type") {
  PolicySettings settings = Parse(Minimal());
  settings.checkpoint_wins = true;
  settings.horizon = 10;
  settings.prompt_slots = 200;
  const Result<PolicySettings> fitted = FitSettingsToModel(settings, SmallModel(), "named");
  REQUIRE(fitted.ok());
  CHECK(fitted->horizon == 50);
  CHECK(fitted->prompt_slots == 48);
  CHECK_FALSE(fitted->checkpoint_wins);
  settings.type = PolicyType::kPi05;
  CHECK_FALSE(FitSettingsToModel(settings, SmallModel(), "named").ok());
}

}  // namespace vlaserve
