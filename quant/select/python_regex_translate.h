// A Python regular expression in PCRE2's spelling. Used by python_regex.cpp only.
//
// Grammar: the language reference of Python 3.11's `re` module; the messages are that module's.
#pragma once

#include <string>
#include <string_view>

#include "model/io/status.h"

namespace vlaserve {

// For PCRE2 with UTF, without UCP, newline LF, and `^` after every newline in multi-line mode.
struct TranslatedRegex {
  std::string pattern;
  bool ignore_case = false;
  bool multi_line = false;
  bool dot_all = false;
};

// Errors as PythonRegex::Compile. The result means the same for every ASCII text.
Result<TranslatedRegex> TranslatePythonRegex(std::string_view pattern);

}  // namespace vlaserve
