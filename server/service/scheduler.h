// The worker: the one thread that owns the policy, and the states of the server.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "model/io/status.h"
#include "server/service/clock.h"
#include "server/service/job.h"
#include "server/service/request_queue.h"
#include "server/service/server.h"

namespace vlaserve {

// States only move forward: loading → serving → draining → stopped. Loading goes straight to
// stopped when it fails, and to draining when a stop is requested meanwhile.
enum class ServerState { kLoading, kServing, kDraining, kStopped };

// Thread-safety: all methods from any thread, Start once.
class Scheduler {
 public:
  // Called at every change of state, in order, one at a time. Must not call back.
  using StateObserver = std::function<void(ServerState)>;

  // `clock` must outlive the scheduler.
  Scheduler(size_t queue_capacity, const Clock& clock, StateObserver observer);
  // Aborts and joins.
  ~Scheduler();

  // Starts the worker: factory, WarmUp, then jobs until the stop.
  void Start(PolicyFactory factory);

  // Accepts or refuses `job`; it may be gone when Submit returns.
  void Submit(Job& job);

  // Accepts nothing more; what waits is still run. Does not block.
  void RequestStop();

  // Refuses what waits and ends the running job at its next interrupt check. Implies RequestStop.
  void Abort();

  ServerState state() const;
  // Blocks until the state is at least `state`.
  void WaitFor(ServerState state) const;
  // The same for at most `timeout`; false if that was not enough.
  bool WaitFor(ServerState state, std::chrono::milliseconds timeout) const;

  // Why loading failed (kInternal for an exception); ok while it has not. To be read once WaitFor
  // has left kLoading.
  Status load_status() const;
  // Accepted jobs that Abort gave up.
  int64_t aborted() const { return aborted_.load(); }

 private:
  void Work(const PolicyFactory& factory);
  void RunJob(Job& job, Policy& policy);
  // Moves to `next` unless the state is already there or beyond.
  void Advance(ServerState next);

  const Clock& clock_;
  const StateObserver observer_;
  RequestQueue queue_;
  std::atomic<bool> abort_ = false;
  std::atomic<int64_t> aborted_ = 0;
  std::atomic<int64_t> last_run_ms_ = 100;  // of the latest whole inference; before any, a guess

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  ServerState state_ = ServerState::kLoading;  // guarded by mutex_
  Status load_status_;                         // guarded by mutex_

  std::thread worker_;
};

}  // namespace vlaserve
