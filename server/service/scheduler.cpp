#include "server/service/scheduler.h"

#include <algorithm>
#include <utility>

#include "server/service/exceptions.h"

namespace vlaserve {
namespace {

constexpr std::chrono::milliseconds kLoadingRetry{1000};
constexpr int64_t kMinRetryMs = 10;
constexpr int64_t kMaxRetryMs = 10'000;

}  // namespace

Scheduler::Scheduler(size_t queue_capacity, const Clock& clock, StateObserver observer)
    : clock_(clock), observer_(std::move(observer)), queue_(queue_capacity, clock) {}

Scheduler::~Scheduler() {
  Abort();
  if (worker_.joinable()) worker_.join();
}

void Scheduler::Start(PolicyFactory factory) {
  worker_ = std::thread([this, factory = std::move(factory)] { Work(factory); });
}

void Scheduler::Submit(Job& job) {
  if (state() == ServerState::kLoading) {
    job.Refuse({Refusal::Reason::kLoading, kLoadingRetry});
    return;
  }
  for (const auto& [refused, reason] : queue_.Push(job)) {
    Refusal refusal{reason};
    if (reason == Refusal::Reason::kQueueFull) {
      // A place becomes free after about one inference.
      refusal.retry_after =
          std::chrono::milliseconds(std::clamp(last_run_ms_.load(), kMinRetryMs, kMaxRetryMs));
    }
    refused->Refuse(refusal);
  }
}

void Scheduler::RequestStop() {
  Advance(ServerState::kDraining);
  queue_.Close();
}

void Scheduler::Abort() {
  RequestStop();
  abort_ = true;
  for (Job* job : queue_.Clear()) {
    ++aborted_;
    job->Refuse({Refusal::Reason::kDraining});
  }
}

ServerState Scheduler::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

void Scheduler::WaitFor(ServerState state) const {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return state_ >= state; });
}

bool Scheduler::WaitFor(ServerState state, std::chrono::milliseconds timeout) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, timeout, [&] { return state_ >= state; });
}

Status Scheduler::load_status() const {
  const std::lock_guard lock(mutex_);
  return load_status_;
}

void Scheduler::Advance(ServerState next) {
  const std::lock_guard lock(mutex_);
  if (next <= state_) return;
  state_ = next;
  if (observer_) observer_(next);
  changed_.notify_all();
}

void Scheduler::Work(const PolicyFactory& factory) {
  Result<std::unique_ptr<Policy>> policy = CatchExceptions("loading the policy", factory);
  Status status = policy.status();
  if (status.ok() && state() == ServerState::kLoading) {
    status = CatchExceptions("warm-up", [&] { return policy.value()->WarmUp(); });
  }
  if (status.ok()) {
    Advance(ServerState::kServing);
    while (Job* job = queue_.Pop()) RunJob(*job, **policy);
  } else {
    const std::lock_guard lock(mutex_);
    load_status_ = status;
  }
  queue_.Close();
  // A stop during loading lets requests in between the change of state and the closing of the
  // queue.
  for (Job* job : queue_.Clear()) job->Refuse({Refusal::Reason::kDraining});
  // The policy dies on the thread that made it, before anyone is told that the worker is done.
  policy = Status(StatusCode::kUnavailable, "stopped");
  Advance(ServerState::kStopped);
}

void Scheduler::RunJob(Job& job, Policy& policy) {
  Refusal::Reason reason{};
  const TimePoint start = clock_.Now();
  if (IsDead(job, start, reason)) {
    job.Refuse({reason});
    return;
  }
  if (abort_) {
    ++aborted_;
    job.Refuse({Refusal::Reason::kDraining});
    return;
  }
  bool aborted = false;
  const bool whole = job.Run(policy, [&]() -> Status {
    if (abort_) {
      aborted = true;
      return {StatusCode::kUnavailable, "the server is going away"};
    }
    Refusal::Reason why{};
    if (!IsDead(job, clock_.Now(), why)) return Status::Ok();
    return why == Refusal::Reason::kExpired
               ? Status(StatusCode::kDeadlineExceeded, "the deadline passed during inference")
               : Status(StatusCode::kCancelled, "the client left during inference");
  });
  if (aborted) ++aborted_;
  // What failed at once says nothing about how long a place in the queue takes to become free.
  if (whole) last_run_ms_ = static_cast<int64_t>(Milliseconds(clock_.Now() - start));
}

}  // namespace vlaserve
