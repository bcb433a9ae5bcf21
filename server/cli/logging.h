// The program's log: standard error, one line per message.
#pragma once

#include <string>

namespace vlaserve {

// Makes the process's default spdlog logger write lines like
// "2026-01-31T12:00:00.123Z info message" to standard error. `level` is a value of log.level.
void SetUpLogging(const std::string& level);

}  // namespace vlaserve
