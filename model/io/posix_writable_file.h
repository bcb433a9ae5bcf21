// Files written under a temporary name. Private to model/io.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "model/io/file_system.h"

namespace vlaserve {

// FileSystem::CreateAtomically and CreateEntry; `path` has been checked.
Result<std::unique_ptr<WritableFile>> CreatePosixFile(const std::string& path);
Result<std::unique_ptr<WritableFile>> CreatePosixEntry(const std::string& path, uint64_t bytes);

}  // namespace vlaserve
