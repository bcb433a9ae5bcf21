#include "server/service/request_queue.h"

#include <algorithm>

namespace vlaserve {
namespace {

bool IsNewer(const Job& job, const Job& waiting) {
  return job.sequence() == 0 || waiting.sequence() == 0 || job.sequence() > waiting.sequence();
}

}  // namespace

bool IsDead(const Job& job, TimePoint now, Refusal::Reason& reason) {
  // The deadline first: gRPC also cancels calls whose deadline has passed.
  if (job.deadline() <= now) {
    reason = Refusal::Reason::kExpired;
    return true;
  }
  if (job.IsCancelled()) {
    reason = Refusal::Reason::kCancelled;
    return true;
  }
  return false;
}

RequestQueue::RequestQueue(size_t capacity, const Clock& clock)
    : capacity_(capacity), clock_(clock) {}

std::vector<RequestQueue::Refused> RequestQueue::Push(Job& job) {
  std::vector<Refused> refused;
  const TimePoint now = clock_.Now();
  const std::lock_guard lock(mutex_);
  if (closed_) return {{&job, Refusal::Reason::kDraining}};

  Refusal::Reason reason{};
  if (IsDead(job, now, reason)) return {{&job, reason}};
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    if (IsDead(**it, now, reason)) {
      refused.emplace_back(*it, reason);
      it = waiting_.erase(it);
    } else {
      ++it;
    }
  }

  if (!job.session_id().empty()) {
    const auto same = std::find_if(waiting_.begin(), waiting_.end(), [&](const Job* other) {
      return other->session_id() == job.session_id();
    });
    if (same != waiting_.end()) {
      if (IsNewer(job, **same)) {
        refused.emplace_back(*same, Refusal::Reason::kSuperseded);
        *same = &job;
      } else {
        refused.emplace_back(&job, Refusal::Reason::kSuperseded);
      }
      return refused;
    }
  }

  if (waiting_.size() >= capacity_) {
    refused.emplace_back(&job, Refusal::Reason::kQueueFull);
    return refused;
  }
  waiting_.push_back(&job);
  changed_.notify_one();
  return refused;
}

Job* RequestQueue::Pop() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return closed_ || !waiting_.empty(); });
  if (waiting_.empty()) return nullptr;
  Job* job = waiting_.front();
  waiting_.pop_front();
  return job;
}

void RequestQueue::Close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

std::vector<Job*> RequestQueue::Clear() {
  const std::lock_guard lock(mutex_);
  std::vector<Job*> jobs(waiting_.begin(), waiting_.end());
  waiting_.clear();
  return jobs;
}

}  // namespace vlaserve
