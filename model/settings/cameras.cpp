#include "model/settings/cameras.h"

#include <algorithm>

namespace vlaserve {

std::string ImageField(std::string_view camera) { return "images[" + std::string(camera) + "]"; }

std::string CameraNames(const PolicySettings& settings) {
  std::string names;
  for (const Camera& camera : settings.cameras) {
    if (!camera.name) continue;
    if (!names.empty()) names += ", ";
    names += *camera.name;
    if (camera.optional) names += " (optional)";
  }
  return names.empty() ? "none" : names;
}

Status CheckCameraNames(const PolicySettings& settings,
                        const std::vector<std::string_view>& names) {
  for (const std::string_view name : names) {
    const bool known = std::any_of(settings.cameras.begin(), settings.cameras.end(),
                                   [name](const Camera& camera) { return camera.name == name; });
    if (known) continue;
    return {StatusCode::kInvalidArgument, ImageField(name),
            "the policy has no such camera, expected: " + CameraNames(settings)};
  }
  for (const Camera& camera : settings.cameras) {
    if (!camera.name || camera.optional) continue;
    if (std::find(names.begin(), names.end(), *camera.name) != names.end()) continue;
    return {StatusCode::kInvalidArgument, ImageField(*camera.name),
            "is missing, expected: " + CameraNames(settings)};
  }
  return Status::Ok();
}

}  // namespace vlaserve
