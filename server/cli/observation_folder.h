// Folders of recorded observations, such as configs/demo_policy/calibration.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/io/file_system.h"
#include "model/io/status.h"
#include "model/policy/model_inputs.h"
#include "model/settings/policy_settings.h"

namespace vlaserve {

// Reads `folder`/index.json: an array of objects with a picture's file name (PNG or JPEG, relative
// to the folder) for every camera under its observation key ("observation/image"),
// "observation/state" (numbers) and "prompt" (may be missing); other members are ignored. Each
// observation gets the number of its place as seed, and `num_steps`. Errors: kInvalidArgument
// naming file, place and member.
Result<std::vector<NamedObservation>> ReadObservationFolder(FileSystem& files,
                                                            const std::string& folder,
                                                            const PolicySettings& settings,
                                                            int64_t num_steps);

}  // namespace vlaserve
