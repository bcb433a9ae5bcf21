// The inline flags of a Python regular expression: "(?i)", "(?i-s:…)". Used by
// python_regex_translate.cpp only.
#pragma once

#include <string>

#include "model/io/status.h"
#include "quant/select/python_regex_reader.h"

namespace vlaserve {

struct RegexFlags {
  std::string add;
  std::string remove;
  bool global = false;  // "(?i)": of the whole expression; else of the group that follows

  bool Adds(char flag) const { return add.find(flag) != std::string::npos; }
  bool Removes(char flag) const { return remove.find(flag) != std::string::npos; }
};

// Python's letters of flags, those of no use here included.
bool IsRegexFlag(char32_t c);

// Reads flags up to and with the ")" or ":" behind them; `first`, a flag or "-", was taken.
Result<RegexFlags> ReadRegexFlags(PatternReader& reader, char32_t first);

}  // namespace vlaserve
