// The characters of a Python regular expression, with Python's idea of tokens and positions. Used
// by python_regex_translate.cpp only.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "model/io/status.h"

namespace vlaserve {

// Positions count characters from 0, as Python's messages do.
class PatternReader {
 public:
  // kInvalidArgument if `text` is not UTF-8 or unreasonably long.
  static Result<PatternReader> Open(std::string_view text);

  bool AtEnd() const { return position_ == text_.size(); }
  // 0 at the end; '\\' stands for an escape sequence.
  char32_t Peek() const { return AtEnd() ? 0 : text_[position_]; }
  bool NextIs(char32_t c) const { return !AtEnd() && text_[position_] == c; }
  // The next character; not at the end.
  char32_t Take() { return text_[position_++]; }
  // Takes the next character if it is `c`.
  bool Match(char32_t c) {
    const bool matches = NextIs(c);
    if (matches) ++position_;
    return matches;
  }

  size_t position() const { return position_; }
  void Seek(size_t position) { position_ = position; }

  // The characters from `begin` up to here, as UTF-8.
  std::string TextFrom(size_t begin) const;

  // At most `limit` characters for which `belongs` holds.
  template <typename Predicate>
  std::u32string TakeWhile(size_t limit, Predicate belongs) {
    std::u32string taken;
    while (taken.size() < limit && !AtEnd() && belongs(Peek())) taken += Take();
    return taken;
  }
  // Up to and without `terminator`, which is taken; `name` says what is being read.
  Result<std::u32string> TakeUntil(char32_t terminator, std::string_view name);

  // "message at position 7", and the line in a text of several lines.
  Status Error(std::string_view message, size_t position) const;

 private:
  explicit PatternReader(std::u32string text) : text_(std::move(text)) {}

  std::u32string text_;
  size_t position_ = 0;
};

bool IsAsciiLetter(char32_t c);

// Appends a code point as UTF-8.
void AppendUtf8(char32_t c, std::string& text);
std::string Utf8(std::u32string_view text);

}  // namespace vlaserve
