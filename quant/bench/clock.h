// Time, for measuring.
#pragma once

#include <chrono>

namespace vlaserve {

inline double MonotonicSeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace vlaserve
