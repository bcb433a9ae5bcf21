// The groups of a Python regular expression: numbers, names, and what may refer to them. Used by
// python_regex_translate.cpp only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/io/status.h"
#include "quant/select/python_regex_parts.h"
#include "quant/select/python_regex_reader.h"

namespace vlaserve {

// Errors are Python's.
class RegexGroups {
 public:
  // One more than the groups that have been opened: 0 is the whole expression.
  int64_t count() const { return static_cast<int64_t>(widths_.size()); }
  // The number of a new group.
  size_t Open();
  void Close(size_t group, RegexWidth width) { widths_[group] = width; }

  // Reads "name>" for the group that is opened next.
  Status ReadNewName(PatternReader& reader);
  // The group of "name)".
  Result<int64_t> ReadReference(PatternReader& reader) const;
  // The group of "(?(group)yes|no)", which may be one that is opened later.
  Result<int64_t> ReadCondition(PatternReader& reader);
  // An error if one of these never was.
  Status CheckConditions(const PatternReader& reader) const;

  // The width of a group that the text at `begin` refers to.
  Result<RegexWidth> ReferredWidth(int64_t group, const PatternReader& reader, size_t begin) const;
  // Whether a look-behind that is being read may refer to the group.
  Status CheckLookbehind(int64_t group, const PatternReader& reader) const;
  // Notes that a look-behind begins, and what LeaveLookbehind then has to be given.
  std::optional<int64_t> EnterLookbehind();
  void LeaveLookbehind(std::optional<int64_t> outer) { lookbehind_ = outer; }

 private:
  std::vector<std::optional<RegexWidth>> widths_{RegexWidth{}};  // set once a group is closed
  std::map<std::string, int64_t> names_;
  std::map<int64_t, size_t> conditions_;  // groups of conditionals, and where
  std::optional<int64_t> lookbehind_;     // groups before the outermost look-behind being read
};

}  // namespace vlaserve
