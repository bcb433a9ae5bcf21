// Python's `re.search` for layer names.
//
// Expressions of users and of openpi_duquant's scripts are Python's (3.11). They are parsed by
// Python's grammar and handed to PCRE2 in a spelling that means the same there; what Python refuses
// is refused with Python's message, and what PCRE2 cannot do Python's way is refused too. Nothing
// is guessed. Work is bounded: an expression that backtracks without end is an error.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "model/io/status.h"

namespace vlaserve {

// Thread-safety: none; Search uses memory of the object.
class PythonRegex {
 public:
  // kInvalidArgument with Python's message and position ("nothing to repeat at position 0"), or
  // "not supported: …".
  static Result<PythonRegex> Compile(std::string_view pattern);

  PythonRegex(PythonRegex&&) noexcept;
  PythonRegex& operator=(PythonRegex&&) noexcept;
  ~PythonRegex();

  // True if the expression is found anywhere in `text`. kInvalidArgument if `text` is not ASCII
  // (the two libraries know different Unicode tables) or the search takes too long.
  Result<bool> Search(std::string_view text) const;

  const std::string& pattern() const;

 private:
  struct Compiled;
  explicit PythonRegex(std::unique_ptr<Compiled> compiled);

  std::unique_ptr<Compiled> compiled_;
};

}  // namespace vlaserve
