// The variables of openpi_duquant and its scripts that change nothing here, and why. Used by
// openpi_environment.cpp only.
#pragma once

#include <span>
#include <string_view>

namespace vlaserve {

struct OpenpiVariable {
  std::string_view name;     // or the beginning of names, if it ends with "*"
  std::string_view verdict;  // "not applicable: …" or "honoured: …"
};

// The first entry that fits a name counts.
std::span<const OpenpiVariable> VariablesWithoutOption();

}  // namespace vlaserve
