// The bounded queue between gRPC's threads and the worker.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

#include "server/service/clock.h"
#include "server/service/job.h"

namespace vlaserve {

// First in, first out, with two rules for robots, to whom only the newest observation matters:
// * Of a session at most one job waits. A newer one takes its place in the line (not the end of it,
//   or a robot that sends faster than it is served would never be served). Newer means: a higher
//   sequence, or, where either sequence is 0, later arrival.
// * Jobs that are cancelled or past their deadline do not count: they are removed when room is
//   needed or at the latest when their turn comes.
//
// The queue does not own jobs and never calls Run or Refuse: it hands back the jobs to refuse, so
// that nothing foreign runs under its lock.
//
// Thread-safety: all methods from any thread.
class RequestQueue {
 public:
  using Refused = std::pair<Job*, Refusal::Reason>;

  // `capacity` >= 1 jobs may wait. `clock` must outlive the queue.
  RequestQueue(size_t capacity, const Clock& clock);

  // Enters `job`. Returns the jobs that the caller has to refuse: displaced and dead ones, and
  // `job` itself if it was not entered (kQueueFull, kSuperseded, kExpired, kCancelled, or kDraining
  // once closed).
  [[nodiscard]] std::vector<Refused> Push(Job& job);

  // Blocks for the next job; null once the queue is closed and empty. The caller checks deadline
  // and cancellation.
  [[nodiscard]] Job* Pop();

  // From here on nothing is entered; what waits can still be popped.
  void Close();

  // Removes and returns all waiting jobs; the caller refuses them.
  [[nodiscard]] std::vector<Job*> Clear();

 private:
  const size_t capacity_;
  const Clock& clock_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job*> waiting_;  // guarded by mutex_
  bool closed_ = false;       // guarded by mutex_
};

// Whether `job` is not worth running any more at `now`, and if so why (`reason`, untouched
// otherwise).
bool IsDead(const Job& job, TimePoint now, Refusal::Reason& reason);

}  // namespace vlaserve
