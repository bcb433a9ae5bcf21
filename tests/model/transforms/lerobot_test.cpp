// LeRobot's own numbers for the transforms (lerobot_cases.* of the golden folders).
#include <cstddef>
#include <string>
#include <vector>

#include "model/io/file_system.h"
#include "model/transforms/actions.h"
#include "model/transforms/image_resize.h"
#include "model/transforms/normalize.h"
#include "model/transforms/prompt_tokens.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"

namespace vlaserve {
namespace {

// The golden folders that hold LeRobot's numbers.
std::vector<std::string> LerobotFolders() {
  const auto entries = PosixFileSystem().List(GoldenDir());
  INFO(entries.status().message());
  REQUIRE(entries.ok());
  std::vector<std::string> folders;
  for (const std::string& entry : *entries) {
    if (HasGolden(entry + "/lerobot_cases.json")) folders.push_back(entry);
  }
  return folders;
}

struct Normalizer {
  Statistics state;
  Statistics actions;
  Normalization normalization = Normalization::kZScore;
};

Statistics ReadStatistics(const SafetensorsFile& file, const std::string& key) {
  Statistics statistics;
  statistics.mean = GoldenTensor(file, key + ".mean").ToDoubles();
  statistics.std = GoldenTensor(file, key + ".std").ToDoubles();
  statistics.q01 = GoldenTensor(file, key + ".q01").ToDoubles();
  statistics.q99 = GoldenTensor(file, key + ".q99").ToDoubles();
  return statistics;
}

Normalizer ReadNormalizer(const std::string& folder) {
  Normalizer normalizer;
  const nlohmann::json golden = ReadGoldenJson(folder + "/policy_preprocessor.json");
  for (const auto& step : golden.at("steps")) {
    if (step.at("registry_name") != "normalizer_processor") continue;
    const SafetensorsFile file =
        OpenGoldenTensors(folder + "/" + step.at("state_file").get<std::string>());
    normalizer.state = ReadStatistics(file, "observation.state");
    normalizer.actions = ReadStatistics(file, "action");
    const std::string mode = step.at("config").at("norm_map").at("STATE").get<std::string>();
    REQUIRE((mode == "MEAN_STD" || mode == "QUANTILES"));
    normalizer.normalization =
        mode == "QUANTILES" ? Normalization::kQuantile : Normalization::kZScore;
  }
  REQUIRE(!normalizer.state.mean.empty());
  return normalizer;
}

TEST_CASE("golden: LeRobot's normalised states and un-normalised actions", "[lerobot]") {
  size_t cases = 0;
  for (const std::string& folder : LerobotFolders()) {
    const Normalizer normalizer = ReadNormalizer(folder);
    const SafetensorsFile tensors = OpenGoldenTensors(folder + "/lerobot_cases.safetensors");
    const nlohmann::json golden = ReadGoldenJson(folder + "/lerobot_cases.json");
    for (const auto& expected : golden.at("cases")) {
      const std::string key = expected.at("key").get<std::string>();
      CAPTURE(folder, key);
      const auto state =
          Normalize(GoldenTensor(tensors, key + ".state").ToDoubles(), normalizer.state,
                    normalizer.normalization, Convention::kLerobot);
      REQUIRE(state.ok());
      CHECK(MaxAbsDiff(GoldenTensor(tensors, key + ".normalised_state").ToDoubles(), *state) == 0);

      const TensorView& output = GoldenTensor(tensors, key + ".model_actions");
      const TensorView& answer = GoldenTensor(tensors, key + ".actions");
      const auto actions = Unnormalize(
          FirstColumns(output.ToDoubles(), output.shape.at(1), answer.shape.at(1)),
          answer.shape.at(1), normalizer.actions, normalizer.normalization, Convention::kLerobot);
      REQUIRE(actions.ok());
      CHECK(MaxAbsDiff(answer.ToDoubles(), *actions) == 0);
      ++cases;
    }
  }
  ReportGoldenCases("lerobot_cases: normalisation", cases);
}

TEST_CASE("golden: LeRobot's prompt tokens", "[lerobot]") {
  const auto model =
      PosixFileSystem().Read(GoldenPath("tokenizer/tokenizer.model"), size_t{1} << 26);
  REQUIRE(model.ok());
  const auto tokenizer = Tokenizer::Parse(*model, "tokenizer.model");
  REQUIRE(tokenizer.ok());
  size_t cases = 0;
  for (const std::string& folder : LerobotFolders()) {
    const SafetensorsFile tensors = OpenGoldenTensors(folder + "/lerobot_cases.safetensors");
    const nlohmann::json golden = ReadGoldenJson(folder + "/lerobot_cases.json");
    const PromptFormat format =
        golden.at("model_type") == "pi0" ? PromptFormat::kLerobotPi0 : PromptFormat::kPi05State;
    for (const auto& expected : golden.at("cases")) {
      const std::string key = expected.at("key").get<std::string>();
      CAPTURE(folder, key);
      const auto ids = GoldenTensor(tensors, key + ".tokens").ToInts();
      const auto state = GoldenTensor(tensors, key + ".normalised_state").ToDoubles();
      const auto tokens = TokenizePrompt(*tokenizer, format, expected.at("task").get<std::string>(),
                                         state, static_cast<int64_t>(ids.size()));
      REQUIRE(tokens.ok());
      CHECK(tokens->ids == ids);
      CHECK(MaxAbsDiff(tokens->mask, GoldenTensor(tensors, key + ".token_mask").ToInts()) == 0);
      CHECK(tokens->length == expected.at("num_prompt_tokens").get<int64_t>());
      ++cases;
    }
  }
  ReportGoldenCases("lerobot_cases: tokens", cases);
}

// Folders without stored model pictures still show that every camera picture can be prepared.
TEST_CASE("golden: LeRobot's model pictures", "[lerobot]") {
  size_t cases = 0;
  for (const std::string& folder : LerobotFolders()) {
    const SafetensorsFile tensors = OpenGoldenTensors(folder + "/lerobot_cases.safetensors");
    const auto size = ReadGoldenJson(folder + "/geometry.json").at("image_size").get<int64_t>();
    const nlohmann::json golden = ReadGoldenJson(folder + "/lerobot_cases.json");
    for (const auto& expected : golden.at("cases")) {
      const std::string key = expected.at("key").get<std::string>();
      CAPTURE(folder, key);
      const SafetensorsFile source =
          OpenGoldenTensors(folder + "/" + expected.at("image").at(0).get<std::string>());
      const TensorView& raw = GoldenTensor(source, expected.at("image").at(1).get<std::string>());
      RgbImage picture{
          static_cast<uint32_t>(raw.shape.at(0)), static_cast<uint32_t>(raw.shape.at(1)), {}};
      for (const std::byte byte : raw.bytes) picture.pixels.push_back(static_cast<uint8_t>(byte));
      const auto chw = TorchResizeWithPad(picture, size);
      REQUIRE(chw.ok());
      ++cases;
      const TensorView* const hwc = tensors.Find(key + ".model_image");
      if (hwc == nullptr) continue;
      const std::vector<float> found = hwc->ToFloats();
      const size_t plane = found.size() / 3;
      std::vector<float> reordered(found.size());
      for (size_t i = 0; i < found.size(); ++i) reordered[i] = chw->at(i % 3 * plane + i / 3);
      CHECK(MaxAbsDiff(found, reordered) < 1e-6);
    }
  }
  ReportGoldenCases("lerobot_cases: pictures", cases);
}

}  // namespace
}  // namespace vlaserve
