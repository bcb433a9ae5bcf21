// Whole observations, from pictures and raw state to the actions that a client gets.

#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/model/policy/exported.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"

namespace vlaserve {
namespace {

// What openpi's LiberoInputs does before the policy's own transforms: float pictures become
// uint8(255 x), channels-first pictures become channels-last. Our clients do it themselves.
RgbImage ParsePicture(const TensorView& view) {
  std::vector<uint8_t> bytes;
  if (view.dtype == DType::kU8) {
    for (const int64_t value : view.ToInts()) bytes.push_back(static_cast<uint8_t>(value));
  } else {
    for (const float value : view.ToFloats()) bytes.push_back(static_cast<uint8_t>(255 * value));
  }
  REQUIRE(view.shape.size() == 3);
  if (view.shape[0] != 3) {
    return {static_cast<uint32_t>(view.shape[0]), static_cast<uint32_t>(view.shape[1]),
            std::move(bytes)};
  }
  const auto plane = static_cast<size_t>(view.shape[1] * view.shape[2]);
  RgbImage image{static_cast<uint32_t>(view.shape[1]), static_cast<uint32_t>(view.shape[2]),
                 std::vector<uint8_t>(bytes.size())};
  for (size_t i = 0; i < bytes.size(); ++i) {
    image.pixels[i % plane * 3 + i / plane] = bytes[i];
  }
  return image;
}

}  // namespace

TEST_CASE("golden whole-policy cases in float32") {
  const nlohmann::json json = ReadGoldenJson("transforms/policy_cases.json");
  const SafetensorsFile tensors = OpenGoldenTensors("transforms/policy_cases.safetensors");
  std::map<std::string, std::unique_ptr<TorchPolicy>> policies;
  size_t cases = 0;
  for (const nlohmann::json& golden : json.at("cases")) {
    const auto key = golden.at("key").get<std::string>();
    const auto config = golden.at("config").get<std::string>();
    const auto checkpoint = golden.at("checkpoint").get<std::string>();
    std::optional<std::string> default_prompt;
    if (golden.at("default_prompt").is_string()) {
      default_prompt = golden.at("default_prompt").get<std::string>();
    }
    INFO(key);
    auto& policy = policies[config + "\n" + checkpoint + "\n" + default_prompt.value_or("")];
    if (policy == nullptr) {
      Result<PolicySettings> settings = NamedPolicySettings(config);
      REQUIRE(settings.ok());
      settings->default_prompt = default_prompt;
      policy = MakePolicy(*ExportGolden(checkpoint, *settings));
    }

    Observation observation;
    for (const char* camera : {"image", "wrist_image"}) {
      observation.images[camera] =
          ParsePicture(GoldenTensor(tensors, golden.at(camera).get<std::string>()));
    }
    observation.state = GoldenTensor(tensors, key + ".state").ToDoubles();
    if (golden.at("prompt").is_string()) observation.prompt = golden.at("prompt");
    InferOptions options;
    options.noise = GoldenTensor(tensors, key + ".noise").ToFloats();
    options.num_steps = golden.at("num_steps").get<int64_t>();

    const Result<Processing::Prepared> prepared = policy->processing().Prepare(observation);
    REQUIRE(prepared.ok());
    CHECK(prepared->input.tokens == GoldenTensor(tensors, key + ".tokens").ToInts());
    const Result<ActionChunk> chunk = policy->Infer(observation, options, {});
    INFO(chunk.status().message());
    REQUIRE(chunk.ok());
    CHECK(MaxAbsDiff(chunk->actions, GoldenTensor(tensors, key + ".actions").ToDoubles()) <= 1e-5);
    CHECK(chunk->actions.size() == static_cast<size_t>(chunk->horizon * chunk->action_dim));
    CHECK(chunk->seed == 0);
    ++cases;
  }
  ReportGoldenCases("whole policies", cases);
}

TEST_CASE("golden LeRobot whole-policy cases in float32") {
  size_t cases = 0;
  for (const std::string& folder : GoldenLerobotFolders()) {
    const auto archive = ExportLerobot(folder);
    const auto policy = MakePolicy(*archive);
    const nlohmann::json json = ReadGoldenJson(folder + "/lerobot_cases.json");
    const SafetensorsFile tensors = OpenGoldenTensors(folder + "/lerobot_cases.safetensors");
    for (const nlohmann::json& golden : json.at("cases")) {
      const auto key = golden.at("key").get<std::string>();
      INFO(folder << " " << key);
      Observation observation;
      for (const Camera& camera : policy->settings().cameras) {
        if (!camera.name) continue;
        const nlohmann::json& entry = golden.at(*camera.name);
        const SafetensorsFile file =
            OpenGoldenTensors(folder + "/" + entry.at(0).get<std::string>());
        observation.images[*camera.name] =
            ParsePicture(GoldenTensor(file, entry.at(1).get<std::string>()));
      }
      observation.state = GoldenTensor(tensors, key + ".state").ToDoubles();
      observation.prompt = golden.at("task").get<std::string>();
      InferOptions options;
      options.noise = GoldenTensor(tensors, key + ".noise").ToFloats();
      options.num_steps = golden.at("num_steps").get<int64_t>();
      const Result<ActionChunk> chunk = policy->Infer(observation, options, {});
      INFO(chunk.status().message());
      REQUIRE(chunk.ok());
      CHECK(MaxAbsDiff(chunk->actions, GoldenTensor(tensors, key + ".actions").ToDoubles()) <=
            1e-5);
      ++cases;
    }
  }
  ReportGoldenCases("LeRobot whole policies", cases);
}

}  // namespace vlaserve
