#include "model/transforms/image_resize.h"

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "model/io/hash.h"
#include "tests/model/transforms/golden_pictures.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"
#include "tests/support/matchers.h"

namespace vlaserve {
namespace {

std::string PixelDigest(const RgbImage& image) {
  return Sha256Hex(std::as_bytes(std::span(image.pixels)));
}

void CheckResizedPicture(const nlohmann::json& expected, const RgbImage& resized) {
  CHECK(PixelDigest(resized) == expected.at("output_sha256").get<std::string>());
  for (const auto& sample : expected.at("samples_y_x_rgb")) {
    const size_t at = (sample.at(0).get<size_t>() * resized.width + sample.at(1).get<size_t>()) * 3;
    for (size_t c = 0; c < 3; ++c) CHECK(resized.pixels[at + c] == sample.at(2 + c).get<int>());
  }
  if (expected.contains("sum")) {
    const auto sum = std::accumulate(resized.pixels.begin(), resized.pixels.end(), int64_t{0});
    CHECK(sum == expected.at("sum").get<int64_t>());
  }
}

TEST_CASE("golden: pictures are resized to Pillow's bytes", "[image_resize]") {
  const nlohmann::json golden = ReadGoldenJson("transforms/resize.json");
  const SafetensorsFile tensors = OpenGoldenTensors("transforms/resize.safetensors");
  const auto size = golden.at("target").at(0).get<int64_t>();
  REQUIRE(golden.at("target").at(1).get<int64_t>() == size);
  size_t cases = 0;
  for (const auto& expected : golden.at("cases")) {
    CAPTURE(expected.at("pattern").get<std::string>(), expected.at("height").get<int>(),
            expected.at("width").get<int>());
    RgbImage picture =
        PatternPicture(expected.at("pattern").get<std::string>(),
                       expected.at("height").get<uint32_t>(), expected.at("width").get<uint32_t>());
    // The digest is that of what is resized or, with rotate180_first, of the picture before that.
    if (expected.value("rotate180_first", false)) {
      const std::string digest = expected.at("input_sha256").get<std::string>();
      const RgbImage turned = Rotated180(picture);
      CHECK((PixelDigest(picture) == digest || PixelDigest(turned) == digest));
      picture = turned;
    } else {
      CHECK(PixelDigest(picture) == expected.at("input_sha256").get<std::string>());
    }
    const auto resized = ResizeWithPad(picture, size);
    ++cases;
    if (expected.contains("error")) {
      CHECK(resized.status().code() == StatusCode::kInvalidArgument);
      continue;
    }
    REQUIRE(resized.ok());
    CHECK(resized->height == size);
    CHECK(resized->width == size);
    CheckResizedPicture(expected, *resized);
    const TensorView* pixels = expected.contains("tensor")
                                   ? tensors.Find(expected.at("tensor").get<std::string>())
                                   : nullptr;
    if (pixels != nullptr) CHECK(MaxAbsDiff(pixels->ToInts(), resized->pixels) == 0);
  }
  ReportGoldenCases("resize", cases);
}

TEST_CASE("golden: all 256 model pixel values are the reference's", "[image_resize]") {
  const nlohmann::json golden = ReadGoldenJson("transforms/image_parse.json");
  const auto expected = golden.at("uint8_to_model_pixel_float32").get<std::vector<float>>();
  RgbImage picture;
  picture.height = static_cast<uint32_t>(expected.size());
  picture.width = 1;
  for (size_t i = 0; i < expected.size(); ++i) {
    picture.pixels.insert(picture.pixels.end(), 3, static_cast<uint8_t>(i));
  }
  std::vector<float> pixels(expected.size() * 3);
  ToModelPixels(picture, pixels);
  for (size_t plane = 0; plane < 3; ++plane) {
    const auto values = std::span(pixels).subspan(plane * expected.size(), expected.size());
    CHECK(MaxAbsDiff(values, expected) == 0);
  }
  ReportGoldenCases("image_parse: model pixel values", expected.size());
}

TEST_CASE("model pixels are planes of colours", "[image_resize]") {
  const RgbImage picture{1, 2, {0, 51, 255, 255, 0, 102}};
  std::vector<float> chw(6);
  ToModelPixels(picture, chw);
  CHECK(MaxAbsDiff(chw, std::vector<float>{-1.0f, 1.0f, -0.6f, -1.0f, 1.0f, -0.2f}) < 1e-7);
}

TEST_CASE("a picture of the right size is not touched", "[image_resize]") {
  const RgbImage picture = PatternPicture("hashed", 16, 16);
  const auto resized = ResizeWithPad(picture, 16);
  REQUIRE(resized.ok());
  CHECK(resized->pixels == picture.pixels);
}

// Expected: torch 2.11 interpolate(bilinear, align_corners=False), clamp, pad and 2x - 1 of the
// green plane of the "linear" pattern.
TEST_CASE("LeRobot's resize gives torch's numbers", "[image_resize]") {
  struct Case {
    uint32_t height;
    uint32_t width;
    int64_t size;
    std::vector<float> green;
  };
  const std::vector<Case> cases = {
      {9,
       7,
       4,
       {-0.672222257f, -0.54411763f, -0.411111116f, -1.0f, -0.442810416f, -0.306862712f,
        -0.164052308f, -1.0f, -0.208169878f, -0.0617647171f, 0.0856208801f, -1.0f, 0.0212419033f,
        0.17549026f, 0.332679868f, -1.0f}},
      {3, 5, 6, {-1.0f,         -1.0f,         -1.0f,         -1.0f,         -1.0f,
                 -1.0f,         -0.772549033f, -0.731372535f, -0.685620904f, -0.639869273f,
                 -0.594117641f, -0.552941203f, -0.670588255f, -0.629411757f, -0.583660126f,
                 -0.537908494f, -0.492156863f, -0.450980365f, -0.568627477f, -0.527450979f,
                 -0.481699347f, -0.432679713f, -0.382352948f, -0.34117645f,  -1.0f,
                 -1.0f,         -1.0f,         -1.0f,         -1.0f,         -1.0f,
                 -1.0f,         -1.0f,         -1.0f,         -1.0f,         -1.0f,
                 -1.0f}},
  };
  for (const Case& expected : cases) {
    const auto pixels = TorchResizeWithPad(
        PatternPicture("linear", expected.height, expected.width), expected.size);
    REQUIRE(pixels.ok());
    const size_t plane = expected.green.size();
    REQUIRE(pixels->size() == 3 * plane);
    CHECK(MaxAbsDiff(std::span(*pixels).subspan(plane, plane), expected.green) < 2e-7);
  }
}

TEST_CASE("LeRobot's resize of a picture of the right size only scales", "[image_resize]") {
  const RgbImage picture = PatternPicture("hashed", 12, 12);
  std::vector<float> expected(picture.pixels.size());
  ToModelPixels(picture, expected);
  const auto pixels = TorchResizeWithPad(picture, 12);
  REQUIRE(pixels.ok());
  CHECK(*pixels == expected);
}

TEST_CASE("pictures that cannot be resized are refused with their size", "[image_resize]") {
  const auto refuse = [](const RgbImage& picture, int64_t size, const std::string& message) {
    for (const Status& status :
         {CheckResizable(picture, size), ResizeWithPad(picture, size).status(),
          TorchResizeWithPad(picture, size).status()}) {
      CHECK(status.code() == StatusCode::kInvalidArgument);
      CHECK_THAT(status.message(), ContainsText(message));
    }
  };
  refuse(RgbImage{}, 224, "0 rows and 0 columns");
  refuse(RgbImage{20000, 20000, {}}, 224, "20000 rows and 20000 columns");
  refuse(PatternPicture("linear", kMaxImageSide + 1, 1), 224, "4097 rows and 1 columns");
  refuse(RgbImage{2, 2, std::vector<uint8_t>(11)}, 224, "has 11 bytes, expected 12");
  refuse(PatternPicture("linear", 500, 1), 224, "height 500, width 1 is too narrow");
  refuse(PatternPicture("linear", 2, 2), 0, "size 0 is outside 1 to 4096");
  refuse(PatternPicture("linear", 2, 2), 4097, "size 4097 is outside 1 to 4096");
}

}  // namespace
}  // namespace vlaserve
