// What a request must look like before anything runs. No model behind it.

#include "model/policy/validate.h"

#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/catch.h"
#include "tests/support/matchers.h"

namespace vlaserve {
namespace {

Camera Slot(std::string slot, std::optional<std::string> name, bool optional) {
  Camera camera;
  camera.slot = std::move(slot);
  camera.name = std::move(name);
  camera.optional = optional;
  return camera;
}

PolicySettings Settings() {
  PolicySettings settings;
  settings.state_dim = 3;
  settings.cameras = {Slot("base_0_rgb", "image", false),
                      Slot("left_wrist_0_rgb", "wrist_image", true),
                      Slot("right_wrist_0_rgb", std::nullopt, false)};
  return settings;
}

Geometry Sizes() {
  Geometry geometry;
  geometry.image_size = 224;
  geometry.horizon = 2;
  geometry.action_dim = 4;
  return geometry;
}

RgbImage Picture(uint32_t height, uint32_t width) {
  return {height, width, std::vector<uint8_t>(size_t{3} * height * width)};
}

struct Request {
  Observation observation;
  InferOptions options;
  PolicySettings settings = Settings();

  Request() {
    observation.images["image"] = Picture(8, 8);
    observation.state = {0, 1, 2};
    observation.prompt = "go";
  }
  Status Validate() const { return ValidateObservation(settings, Sizes(), observation, options); }
};

struct BadCase {
  const char* name;
  std::function<void(Request&)> change;
  const char* field;
  const char* message;
};

}  // namespace

TEST_CASE("A complete observation is valid, with and without what is optional") {
  Request request;
  CHECK(request.Validate().ok());
  request.observation.images["wrist_image"] = Picture(kMaxImageSide, 20);
  request.options.seed = 1;
  request.options.num_steps = 100;
  CHECK(request.Validate().ok());
  request.options.seed.reset();
  request.options.noise.resize(8);
  CHECK(request.Validate().ok());
  request.observation.prompt.reset();
  request.settings.default_prompt = "wait";
  CHECK(request.Validate().ok());
  request.observation.prompt = std::string(kMaxPromptBytes, 'x');
  CHECK(request.Validate().ok());
}

TEST_CASE("Every bad request names its field and says what was expected") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<BadCase> cases = {
      {"unknown camera", [](Request& r) { r.observation.images["wrist"] = Picture(8, 8); },
       "images[wrist]", "image, wrist_image (optional)"},
      {"slot instead of name",
       [](Request& r) { r.observation.images["base_0_rgb"] = Picture(8, 8); }, "images[base_0_rgb]",
       "expected: image"},
      {"missing camera", [](Request& r) { r.observation.images.clear(); }, "images[image]",
       "is missing, expected: image, wrist_image (optional)"},
      {"no pixels", [](Request& r) { r.observation.images["image"] = Picture(0, 8); },
       "images[image]", "expected 1 to 4096"},
      {"huge picture",
       [](Request& r) {
         r.observation.images["image"] = {20000, 20000, {}};
       },
       "images[image]", "20000 rows"},
      {"one pixel too wide", [](Request& r) { r.observation.images["image"] = Picture(1, 4097); },
       "images[image]", "4097 columns"},
      {"bytes missing", [](Request& r) { r.observation.images["image"].pixels.pop_back(); },
       "images[image]", "has 191 bytes, expected 192"},
      {"too narrow", [](Request& r) { r.observation.images["image"] = Picture(1, 500); },
       "images[image]", "too narrow"},
      {"bad optional picture",
       [](Request& r) { r.observation.images["wrist_image"] = Picture(8, 0); },
       "images[wrist_image]", "0 columns"},
      {"state too short", [](Request& r) { r.observation.state.pop_back(); }, "state",
       "expected 3 values, found 2"},
      {"state too long", [](Request& r) { r.observation.state.push_back(0); }, "state",
       "expected 3 values, found 4"},
      {"NaN state", [nan](Request& r) { r.observation.state[1] = nan; }, "state",
       "value 1 is not a finite number"},
      {"infinite state", [infinity](Request& r) { r.observation.state[2] = -infinity; }, "state",
       "value 2"},
      {"no prompt", [](Request& r) { r.observation.prompt.reset(); }, "prompt",
       "no default prompt"},
      {"empty prompt", [](Request& r) { r.observation.prompt = ""; }, "prompt", "is empty"},
      {"blank prompt", [](Request& r) { r.observation.prompt = " \n\t\xE3\x80\x80"; }, "prompt",
       "white space"},
      {"empty prompt in spite of a default",
       [](Request& r) {
         r.observation.prompt = "";
         r.settings.default_prompt = "wait";
       },
       "prompt", "is empty"},
      {"megabyte prompt",
       [](Request& r) { r.observation.prompt = std::string(size_t{1} << 20, 'x'); }, "prompt",
       "longer than 65536 bytes: 1048576"},
      {"noise length", [](Request& r) { r.options.noise.resize(7); }, "noise",
       "expected 8 values (2 rows of 4), found 7"},
      {"NaN noise",
       [nan](Request& r) {
         r.options.noise.resize(8);
         r.options.noise[7] = nan;
       },
       "noise", "value 7"},
      {"seed and noise",
       [](Request& r) {
         r.options.noise.resize(8);
         r.options.seed = 0;
       },
       "noise", "exclude each other"},
      {"no steps", [](Request& r) { r.options.num_steps = 0; }, "num_steps", "1 to 100, found 0"},
      {"too many steps", [](Request& r) { r.options.num_steps = 101; }, "num_steps", "found 101"},
  };
  for (const BadCase& bad : cases) {
    INFO(bad.name);
    Request request;
    bad.change(request);
    const Status status = request.Validate();
    CHECK(status.code() == StatusCode::kInvalidArgument);
    CHECK(status.field() == bad.field);
    CHECK_THAT(status.message(), ContainsText(bad.message));
  }
}

}  // namespace vlaserve
