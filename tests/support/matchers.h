// String matchers under one name for Catch2 2 and 3.
#pragma once

#include <string>

#include "tests/support/catch.h"

namespace vlaserve {

// CHECK_THAT(message, ContainsText("part"));
inline auto ContainsText(const std::string& part) {
#if VLASERVE_CATCH2_MAJOR >= 3
  return Catch::Matchers::ContainsSubstring(part);
#else
  return Catch::Matchers::Contains(part);
#endif
}

}  // namespace vlaserve
