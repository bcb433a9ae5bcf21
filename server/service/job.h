// A request as the queue and the scheduler see it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "model/policy/policy.h"
#include "server/service/clock.h"

namespace vlaserve {

// Why a job was not run.
struct Refusal {
  enum class Reason {
    kLoading,     // the policy is not ready yet
    kDraining,    // the server is going away
    kQueueFull,   // as many requests wait as are allowed to
    kSuperseded,  // a newer request of the same session waits
    kExpired,     // its deadline passed while it waited
    kCancelled,   // the client left while it waited
  };
  Reason reason = Reason::kDraining;
  // When to try again; zero: no use in trying this server again with this request.
  std::chrono::milliseconds retry_after{0};
};

// Whoever accepts a Job calls exactly one of Run and Refuse, exactly once, and does not touch the
// job afterwards: either call may destroy it. The accessors may be called from any thread before
// that.
class Job {
 public:
  virtual const std::string& session_id() const = 0;  // empty: no session
  virtual uint64_t sequence() const = 0;              // 0: unset
  virtual TimePoint deadline() const = 0;             // TimePoint::max(): none
  virtual bool IsCancelled() const = 0;

  // On the worker thread. Returns whether a whole inference ran; throws nothing.
  virtual bool Run(Policy& policy, const InterruptCheck& interrupt) = 0;
  // On any thread; does not block.
  virtual void Refuse(const Refusal& refusal) = 0;

 protected:
  ~Job() = default;
};

}  // namespace vlaserve
