// The smallest parts of a Python regular expression, escapes and character sets, in PCRE2's
// spelling. Used by python_regex_translate.cpp only.
#pragma once

#include <optional>
#include <string>

#include "model/io/status.h"
#include "quant/select/python_regex_reader.h"

namespace vlaserve {

// What an escape sequence stands for: one character, a kind of characters, a place, or a group.
struct RegexEscape {
  enum class Kind { kCharacter, kCategory, kAnchor, kGroup };

  Kind kind = Kind::kCharacter;
  char32_t character = 0;  // the character, or the letter of a category or anchor
  int64_t group = 0;
  std::string source;  // as written, for messages
};

// Reads what follows a backslash, which was taken. kGroup comes as written: whether there is such a
// group is for the caller.
Result<RegexEscape> ReadEscape(PatternReader& reader);

// `ascii`: Python's flag `a`, without which \s knows four more control characters.
std::string CategoryAtom(char32_t letter, bool ascii);
// A literal character anywhere, escaped where that is needed.
std::string LiteralAtom(char32_t c);

struct CharacterSet {
  std::string text;
  bool has_non_ascii = false;
};

// Reads a set behind its "[", which was taken.
Result<CharacterSet> ReadSet(PatternReader& reader, bool ascii);

}  // namespace vlaserve
