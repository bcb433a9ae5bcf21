// Jobs and a clock for tests of the queue and the scheduler.
#pragma once

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "server/service/clock.h"
#include "server/service/job.h"

namespace vlaserve::testing {

// Stands still unless moved. Thread-safe.
class ManualClock final : public Clock {
 public:
  TimePoint Now() const override { return TimePoint(std::chrono::nanoseconds(now_ns_.load())); }
  void Advance(std::chrono::nanoseconds by) { now_ns_ += by.count(); }

 private:
  std::atomic<int64_t> now_ns_ = 1'000'000'000;
};

class FakeJob final : public Job {
 public:
  explicit FakeJob(std::string session = "", uint64_t sequence = 0)
      : session_(std::move(session)), sequence_(sequence) {}

  const std::string& session_id() const override { return session_; }
  uint64_t sequence() const override { return sequence_; }
  TimePoint deadline() const override { return deadline_; }
  bool IsCancelled() const override { return cancelled_; }

  // Runs the policy on an empty observation, as the service would on a real one.
  bool Run(Policy& policy, const InterruptCheck& interrupt) override {
    Observation observation;
    observation.state.assign(8, 0.0);
    observation.prompt = "go";
    InferOptions options;
    options.num_steps = 1;
    const Result<ActionChunk> chunk = policy.Infer(observation, options, interrupt);
    code_ = chunk.status().code();
    ++answers_;
    return chunk.ok();
  }
  void Refuse(const Refusal& refusal) override {
    refusal_ = refusal.reason;
    retry_after_ = refusal.retry_after;
    ++answers_;
  }

  // To be read once answers_ is above 0.
  StatusCode code_ = StatusCode::kOk;
  std::optional<Refusal::Reason> refusal_;
  std::chrono::milliseconds retry_after_{0};
  std::atomic<int> answers_ = 0;

  TimePoint deadline_ = TimePoint::max();
  std::atomic<bool> cancelled_ = false;

 private:
  const std::string session_;
  const uint64_t sequence_;
};

}  // namespace vlaserve::testing
