// The clock seam of the service: tests move time by hand.
#pragma once

#include <chrono>

namespace vlaserve {

using TimePoint = std::chrono::steady_clock::time_point;

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // Monotonic.
  virtual TimePoint Now() const = 0;
};

// std::chrono::steady_clock; lives as long as the process.
const Clock& SteadyClock();

inline double Milliseconds(TimePoint::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

}  // namespace vlaserve
