// The list of a model's linears, from a file instead of an archive.
#pragma once

#include <string>
#include <vector>

#include "model/checkpoint/checkpoint.h"
#include "model/io/file_system.h"
#include "model/io/status.h"

namespace vlaserve {

// Reads {"linears": [{"name": …, "in": …, "out": …}, …]}, an archive's linears.json, or the list
// alone; "in_features" and "out_features" mean the same, other keys are not looked at. Order is
// kept. kUnreadable naming file and JSON pointer.
Result<std::vector<LinearInfo>> ReadLinearsFile(FileSystem& files, const std::string& path);

}  // namespace vlaserve
