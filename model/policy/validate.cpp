#include "model/policy/validate.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "model/policy/run_options.h"
#include "model/transforms/prompt.h"

namespace vlaserve {
namespace {

Status Invalid(std::string field, std::string message) {
  return {StatusCode::kInvalidArgument, std::move(field), std::move(message)};
}

std::string ExpectedCameras(const PolicySettings& settings) {
  std::string names;
  for (const Camera& camera : settings.cameras) {
    if (!camera.name) continue;
    if (!names.empty()) names += ", ";
    names += *camera.name;
    if (camera.optional) names += " (optional)";
  }
  return names.empty() ? "none" : names;
}

Status CheckPicture(const std::string& field, const RgbImage& image, int64_t model_side) {
  const auto side_ok = [](uint32_t side) { return side >= 1 && side <= kMaxPictureSide; };
  if (!side_ok(image.height) || !side_ok(image.width)) {
    return Invalid(field, "a picture must be 1 to " + std::to_string(kMaxPictureSide) +
                              " pixels a side, found height " + std::to_string(image.height) +
                              " and width " + std::to_string(image.width));
  }
  const size_t expected = size_t{3} * image.height * image.width;
  if (image.pixels.size() != expected) {
    return Invalid(field, "height " + std::to_string(image.height) + " and width " +
                              std::to_string(image.width) + " need " + std::to_string(expected) +
                              " bytes of RGB, found " + std::to_string(image.pixels.size()));
  }
  // The resize keeps the aspect ratio; the shorter side must keep a pixel.
  const double longer = std::max(image.height, image.width);
  const double shorter = std::min(image.height, image.width);
  if (shorter / (longer / static_cast<double>(model_side)) < 1.0) {
    return Invalid(field, "a picture of height " + std::to_string(image.height) + " and width " +
                              std::to_string(image.width) +
                              " is too narrow: nothing would be left of it at " +
                              std::to_string(model_side) + " pixels");
  }
  return Status::Ok();
}

Status CheckPictures(const PolicySettings& settings, const Geometry& geometry,
                     const Observation& observation) {
  for (const auto& [name, image] : observation.images) {
    const std::string field = "images[" + name + "]";
    const bool known =
        std::any_of(settings.cameras.begin(), settings.cameras.end(),
                    [&name = name](const Camera& camera) { return camera.name == name; });
    if (!known) {
      return Invalid(field, "this policy has no camera of this name; its cameras are: " +
                                ExpectedCameras(settings));
    }
    VLASERVE_RETURN_IF_ERROR(CheckPicture(field, image, geometry.image_size));
  }
  for (const Camera& camera : settings.cameras) {
    if (!camera.name || camera.optional || observation.images.contains(*camera.name)) continue;
    return Invalid("images[" + *camera.name + "]",
                   "missing; this policy's cameras are: " + ExpectedCameras(settings));
  }
  return Status::Ok();
}

Status CheckState(const PolicySettings& settings, const std::vector<double>& state) {
  if (static_cast<int64_t>(state.size()) != settings.state_dim) {
    return Invalid("state", "expected " + std::to_string(settings.state_dim) + " values, found " +
                                std::to_string(state.size()));
  }
  for (size_t i = 0; i < state.size(); ++i) {
    if (!std::isfinite(state[i])) {
      return Invalid("state", "value " + std::to_string(i) + " is not a finite number");
    }
  }
  return Status::Ok();
}

Status CheckPrompt(const PolicySettings& settings, const Observation& observation) {
  if (!observation.prompt && !settings.default_prompt) {
    return Invalid("prompt", "missing, and this policy has no default prompt");
  }
  const std::string& prompt = observation.prompt ? *observation.prompt : *settings.default_prompt;
  if (prompt.size() > kMaxPromptBytes) {
    return Invalid("prompt", "longer than " + std::to_string(kMaxPromptBytes) +
                                 " bytes: " + std::to_string(prompt.size()));
  }
  if (StripWhitespace(prompt).empty()) {
    return Invalid("prompt", prompt.empty() ? "is empty" : "holds nothing but white space");
  }
  return Status::Ok();
}

}  // namespace

Status ValidateObservation(const PolicySettings& settings, const Geometry& geometry,
                           const Observation& observation, const InferOptions& options) {
  VLASERVE_RETURN_IF_ERROR(CheckPictures(settings, geometry, observation));
  VLASERVE_RETURN_IF_ERROR(CheckState(settings, observation.state));
  VLASERVE_RETURN_IF_ERROR(CheckPrompt(settings, observation));
  if (!options.noise.empty()) {
    if (options.seed) return Invalid("noise", "seed and noise exclude each other");
    const int64_t expected = geometry.horizon * geometry.action_dim;
    if (static_cast<int64_t>(options.noise.size()) != expected) {
      return Invalid("noise", "expected " + std::to_string(expected) + " values (" +
                                  std::to_string(geometry.horizon) + " rows of " +
                                  std::to_string(geometry.action_dim) + "), found " +
                                  std::to_string(options.noise.size()));
    }
    for (size_t i = 0; i < options.noise.size(); ++i) {
      if (!std::isfinite(options.noise[i])) {
        return Invalid("noise", "value " + std::to_string(i) + " is not a finite number");
      }
    }
  }
  if (options.num_steps && (*options.num_steps < 1 || *options.num_steps > kMaxDenoiseSteps)) {
    return Invalid("num_steps", "must be 1 to " + std::to_string(kMaxDenoiseSteps) + ", found " +
                                    std::to_string(*options.num_steps));
  }
  return Status::Ok();
}

}  // namespace vlaserve
