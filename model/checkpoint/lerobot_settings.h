// The policy settings that a LeRobot checkpoint states in config.json and its processor files.
#pragma once

#include <string>

#include "model/io/file_system.h"
#include "model/io/status.h"
#include "model/settings/policy_settings.h"

namespace vlaserve {

// Reads `directory`/config.json (which must be there) and the processor files (which very old
// checkpoints do not have). Cameras come in the order of input_features; empty_camera_N is an
// always-empty slot; a renamed observation key gives the camera's name. Errors: kUnreadable for
// damaged or incomplete files, kUnsupported for what these settings cannot express; both say that a
// settings file can be given instead.
Result<PolicySettings> LerobotSettings(FileSystem& files, const std::string& directory);

}  // namespace vlaserve
