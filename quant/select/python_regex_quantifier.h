// The quantifiers of a Python regular expression: "*", "+?", "{2,5}". Used by
// python_regex_translate.cpp only.
#pragma once

#include <cstddef>

#include "model/io/status.h"
#include "quant/select/python_regex_parts.h"
#include "quant/select/python_regex_reader.h"

namespace vlaserve {

// Applies the quantifier that begins with `c`, taken at `begin`, to the last item of the sequence.
// False if `c` is a brace that stands for itself, of which nothing behind it is taken then. Errors
// are Python's, and one for more repetitions than PCRE2 can do.
Result<bool> AddQuantifier(PatternReader& reader, char32_t c, size_t begin,
                           RegexSequence& sequence);

}  // namespace vlaserve
