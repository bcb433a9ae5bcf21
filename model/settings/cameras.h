// Which pictures an observation has to bring.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/io/status.h"
#include "model/settings/policy_settings.h"

namespace vlaserve {

// The name under which messages speak of a camera's picture, that of the request: "images[image]".
std::string ImageField(std::string_view camera);

// The cameras that a request may or must fill: "image, wrist_image (optional)"; "none" if there is
// no such camera.
std::string CameraNames(const PolicySettings& settings);

// kInvalidArgument with the field of the first of `names` that is no camera of the policy, or of
// the first camera that is neither among them nor optional.
Status CheckCameraNames(const PolicySettings& settings, const std::vector<std::string_view>& names);

}  // namespace vlaserve
