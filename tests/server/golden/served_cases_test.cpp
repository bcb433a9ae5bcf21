// Whole observations to action chunks through the real server, against openpi's own answers
// (tests/golden/README.md, "Whole-policy cases"; configs/demo_policy/README.md, "Golden cases").
#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "model/io/json.h"
#include "model/settings/policy_settings.h"
#include "tests/server/golden/served_policy.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)

namespace {

constexpr double kTolerance = 1e-5;

// What openpi does with pictures before its model sees them, which is a client's job here: floats
// become truncate(255 * x) in their own precision; then, if the first of three sizes is 3, channels
// move last (image_parse.json).
RgbImage ParsePicture(const TensorView& picture) {
  REQUIRE(picture.shape.size() == 3);
  std::vector<uint8_t> values;
  if (picture.dtype == DType::kF32) {
    for (const float value : picture.ToFloats()) {
      values.push_back(static_cast<uint8_t>(255.0f * value));
    }
  } else if (picture.dtype == DType::kF64) {
    for (const double value : picture.ToDoubles()) {
      values.push_back(static_cast<uint8_t>(255.0 * value));
    }
  } else {
    REQUIRE(picture.dtype == DType::kU8);
    for (const int64_t value : picture.ToInts()) values.push_back(static_cast<uint8_t>(value));
  }
  auto [height, width, channels] = std::tuple(picture.shape[0], picture.shape[1], picture.shape[2]);
  if (height == 3) {
    std::tie(channels, height, width) = std::tuple(height, width, channels);
    std::vector<uint8_t> moved(values.size());
    const auto plane = static_cast<size_t>(height * width);
    for (size_t i = 0; i < plane; ++i) {
      for (size_t c = 0; c < 3; ++c) moved[i * 3 + c] = values[c * plane + i];
    }
    values = std::move(moved);
  }
  REQUIRE(channels == 3);
  return {static_cast<uint32_t>(height), static_cast<uint32_t>(width), std::move(values)};
}

// Asks, compares with the tensor `expected`, and returns the largest difference.
double Compare(ServedPolicy& policy, const InferCallRequest& request, const TensorView& expected) {
  const InferReply reply = policy.Infer(request);
  REQUIRE(expected.shape.size() == 2);
  CHECK(reply.chunk.horizon == expected.shape[0]);
  CHECK(reply.chunk.action_dim == expected.shape[1]);
  CHECK(!reply.chunk.prompt_truncated);
  const double difference = MaxAbsDiff(reply.chunk.actions, expected.ToDoubles());
  CHECK(difference <= kTolerance);
  return difference;
}

// A server per checkpoint, settings and default prompt.
class Servers {
 public:
  ServedPolicy& For(const nlohmann::json& golden_case) {
    const auto config = golden_case.at("config").get<std::string>();
    const auto checkpoint = golden_case.at("checkpoint").get<std::string>();
    const auto default_prompt = DefaultPrompt(golden_case);
    auto& server = servers_[{config, checkpoint, default_prompt}];
    if (!server) {
      ExportOptions options;
      options.checkpoint = GoldenPath(checkpoint);
      auto settings = NamedPolicySettings(config);
      REQUIRE(settings.ok());
      settings->default_prompt = default_prompt;
      options.policy = *std::move(settings);
      options.tokenizer = GoldenPath("tokenizer/tokenizer.model");
      server = std::make_unique<ServedPolicy>(std::move(options));
    }
    return *server;
  }

 private:
  static std::optional<std::string> DefaultPrompt(const nlohmann::json& golden_case) {
    const auto& value = golden_case.at("default_prompt");
    return value.is_null() ? std::nullopt : std::optional(value.get<std::string>());
  }

  std::map<std::tuple<std::string, std::string, std::optional<std::string>>,
           std::unique_ptr<ServedPolicy>>
      servers_;
};

InferCallRequest RequestOf(const nlohmann::json& golden_case, const SafetensorsFile& tensors) {
  InferCallRequest request;
  for (const std::string camera : {"image", "wrist_image"}) {
    const auto name = golden_case.at(camera).get<std::string>();
    request.rgb_images[camera] = ParsePicture(GoldenTensor(tensors, name));
  }
  const auto key = golden_case.at("key").get<std::string>();
  request.state = GoldenTensor(tensors, key + ".state").ToDoubles();
  request.noise = GoldenTensor(tensors, key + ".noise").ToFloats();
  request.num_steps = golden_case.at("num_steps").get<uint32_t>();
  const auto& prompt = golden_case.at("prompt");
  if (!prompt.is_null()) request.prompt = prompt.get<std::string>();
  return request;
}

}  // namespace

TEST_CASE("golden: pictures are parsed as openpi parses them") {
  size_t cases = 0;
  const nlohmann::json json = ReadGoldenJson("transforms/image_parse.json");
  for (const auto& parse : json.at("cases")) {
    INFO(parse.at("name"));
    const auto dtype = parse.at("dtype").get<std::string>();
    TensorView input;
    input.shape = parse.at("shape").get<std::vector<int64_t>>();
    std::vector<std::byte> bytes;
    const auto append = [&](auto value) {
      const auto raw = std::bit_cast<std::array<std::byte, sizeof(value)>>(value);
      bytes.insert(bytes.end(), raw.begin(), raw.end());
    };
    for (const auto& value : parse.at("input")) {
      if (dtype == "<f4") {
        append(value.get<float>());
      } else if (dtype == "<f8") {
        append(value.get<double>());
      } else {
        append(value.get<uint8_t>());
      }
    }
    input.dtype = dtype == "<f4" ? DType::kF32 : dtype == "<f8" ? DType::kF64 : DType::kU8;
    input.bytes = bytes;
    const RgbImage image = ParsePicture(input);
    CHECK(std::vector<int64_t>{image.height, image.width, 3} ==
          parse.at("output_shape").get<std::vector<int64_t>>());
    CHECK(image.pixels == parse.at("output").get<std::vector<uint8_t>>());
    ++cases;
  }
  ReportGoldenCases("transforms/image_parse.json", cases);
}

TEST_CASE("golden: whole-policy cases through the server agree with openpi") {
  const SafetensorsFile tensors = OpenGoldenTensors("transforms/policy_cases.safetensors");
  Servers servers;
  size_t cases = 0;
  double largest = 0;
  const nlohmann::json json = ReadGoldenJson("transforms/policy_cases.json");
  for (const auto& golden_case : json.at("cases")) {
    const auto key = golden_case.at("key").get<std::string>();
    INFO(key);
    largest = std::max(largest, Compare(servers.For(golden_case), RequestOf(golden_case, tensors),
                                        GoldenTensor(tensors, key + ".actions")));
    ++cases;
  }
  std::cout << "largest difference over gRPC: " << largest << "\n";
  ReportGoldenCases("transforms/policy_cases", cases);
}

TEST_CASE("golden: the demo policy's cases through the server agree with openpi") {
  const std::string folder = std::string(VLASERVE_SOURCE_DIR) + "/configs/demo_policy";
  ExportOptions options;
  options.checkpoint = folder;
  ServedPolicy policy(options);
  const auto tensors = SafetensorsFile::Open(PosixFileSystem(), folder + "/cases.safetensors");
  REQUIRE(tensors.ok());
  const auto json = ReadJsonFile(PosixFileSystem(), folder + "/cases.json");
  REQUIRE(json.ok());
  size_t cases = 0;
  for (const auto& golden_case : json->at("cases")) {
    const std::string key = "case" + std::to_string(golden_case.at("index").get<int>());
    INFO(key);
    InferCallRequest request;
    for (const std::string camera : {"image", "wrist_image"}) {
      request.rgb_images[camera] =
          ParsePicture(GoldenTensor(*tensors, key + ".observation/" + camera));
    }
    request.state = GoldenTensor(*tensors, key + ".observation/state").ToDoubles();
    request.noise = GoldenTensor(*tensors, key + ".noise").ToFloats();
    request.num_steps = golden_case.at("num_steps").get<uint32_t>();
    request.prompt = golden_case.at("prompt").get<std::string>();
    Compare(policy, request, GoldenTensor(*tensors, key + ".actions"));
    ++cases;
  }
  ReportGoldenCases("configs/demo_policy", cases);
}
