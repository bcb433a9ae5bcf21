// How much memory the process has resident, split as Linux does.
#pragma once

#include <cstdint>
#include <string_view>

namespace vlaserve {

struct ResidentMemory {
  int64_t anonymous_bytes = 0;  // its own
  int64_t file_bytes = 0;       // pages of mapped files, which the system can take back
};

// RssAnon and RssFile of a /proc/PID/status text; 0 for what is missing.
ResidentMemory ParseResidentMemory(std::string_view status);

// Of this process, now.
ResidentMemory ReadResidentMemory();

}  // namespace vlaserve
