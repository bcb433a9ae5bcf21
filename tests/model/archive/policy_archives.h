// A tiny random policy archive, exported once per process.
#pragma once

#include <string>

#include "model/checkpoint/geometry.h"

namespace vlaserve {

// Path of the archive; it must not be changed.
const std::string& TinyArchive(PolicyType type);

}  // namespace vlaserve
