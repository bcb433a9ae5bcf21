// UTF-8 (RFC 3629).
#pragma once

#include <cstddef>
#include <string_view>

namespace vlaserve {

// Length in bytes of the valid character at the start of `text`; 0 if the bytes there are not one
// (stray or missing continuation bytes, overlong forms, surrogates, beyond U+10FFFF) or `text` is
// empty.
size_t Utf8CharacterLength(std::string_view text);

}  // namespace vlaserve
