// The compute device of `runtime.device`.
#pragma once

#include <string>

#include "model/io/status.h"

namespace vlaserve {

// Ok if a policy can run on `device` ("cpu", "cuda", "cuda:N"); else kDevice, with why not: a build
// without CUDA, no such device, a device that this build has no code for.
Status CheckDevice(const std::string& device);

}  // namespace vlaserve
