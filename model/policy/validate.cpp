#include "model/policy/validate.h"

#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "model/policy/run_options.h"
#include "model/settings/cameras.h"
#include "model/transforms/image_resize.h"
#include "model/transforms/prompt.h"

namespace vlaserve {
namespace {

Status Invalid(std::string field, std::string message) {
  return {StatusCode::kInvalidArgument, std::move(field), std::move(message)};
}

Status CheckPictures(const PolicySettings& settings, const Geometry& geometry,
                     const Observation& observation) {
  std::vector<std::string_view> names;
  for (const auto& [name, image] : observation.images) names.push_back(name);
  VLASERVE_RETURN_IF_ERROR(CheckCameraNames(settings, names));
  for (const auto& [name, image] : observation.images) {
    const Status status = CheckResizable(image, geometry.image_size);
    if (!status.ok()) return Invalid(ImageField(name), status.message());
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
