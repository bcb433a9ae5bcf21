// flock. Private to model/io.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "model/io/file_system.h"

namespace vlaserve {

// FileSystem::Lock and RemoveUnused; `path` has been checked.
Result<std::unique_ptr<FileLock>> LockPosixFile(const std::string& path,
                                                std::chrono::milliseconds timeout);
Result<bool> RemoveUnusedPosixFile(const std::string& path);

}  // namespace vlaserve
