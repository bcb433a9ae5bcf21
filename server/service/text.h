// Text that came from strangers, made fit for log lines and error messages.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace vlaserve {

// `text` with control characters, quotes and backslashes as \xNN, and "…" in place of what is
// beyond `max_bytes` (cut at a character boundary of UTF-8).
std::string Printable(std::string_view text, size_t max_bytes = 64);

// True if `text` contains a byte below 0x20 or 0x7f.
bool HasControlCharacters(std::string_view text);

}  // namespace vlaserve
