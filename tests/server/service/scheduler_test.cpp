#include "server/service/scheduler.h"

#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "tests/server/service/support/fake_job.h"
#include "tests/server/service/support/fake_policy.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

using testing::Eventually;
using testing::FakeFactory;
using testing::FakeJob;
using testing::FakePolicyControl;
using testing::ManualClock;
using Reason = Refusal::Reason;

// A scheduler that writes down its states.
struct Bench {
  explicit Bench(size_t capacity = 4)
      : scheduler(capacity, clock, [this](ServerState state) {
          const std::lock_guard lock(mutex);
          states.push_back(state);
        }) {}
  ~Bench() {
    control.hold_warm_up = false;
    control.hold_infer = false;
  }

  void StartServing() {
    scheduler.Start(FakeFactory(control));
    scheduler.WaitFor(ServerState::kServing);
  }
  // Has `job` running, not finished.
  void Occupy(FakeJob& job) {
    control.hold_infer = true;
    const int before = control.infers_started;
    scheduler.Submit(job);
    REQUIRE(Eventually([&] { return control.infers_started > before; }));
  }
  std::vector<ServerState> States() {
    const std::lock_guard lock(mutex);
    return states;
  }

  ManualClock clock;
  FakePolicyControl control;
  std::mutex mutex;
  std::vector<ServerState> states;
  Scheduler scheduler;
};

bool Answered(const FakeJob& job) {
  return Eventually([&] { return job.answers_ > 0; });
}

TEST_CASE("the policy is made, warmed up, used and destroyed on one thread") {
  Bench bench;
  bench.StartServing();
  FakeJob job;
  bench.scheduler.Submit(job);
  REQUIRE(Answered(job));
  CHECK(job.code_ == StatusCode::kOk);
  CHECK(bench.control.policies_alive == 1);
  bench.scheduler.RequestStop();
  bench.scheduler.WaitFor(ServerState::kStopped);
  CHECK(bench.control.policies_alive == 0);
  CHECK_FALSE(bench.control.wrong_thread);
  CHECK(bench.States() ==
        std::vector{ServerState::kServing, ServerState::kDraining, ServerState::kStopped});
}

TEST_CASE("requests are refused while the policy is loading") {
  Bench bench;
  bench.control.hold_warm_up = true;
  bench.scheduler.Start(FakeFactory(bench.control));
  FakeJob job;
  bench.scheduler.Submit(job);
  REQUIRE(job.answers_ == 1);
  CHECK(job.refusal_ == Reason::kLoading);
  CHECK(job.retry_after_.count() > 0);
  CHECK(bench.scheduler.state() == ServerState::kLoading);
  bench.control.hold_warm_up = false;
  bench.scheduler.WaitFor(ServerState::kServing);
}

TEST_CASE("a failure to load or to warm up stops the scheduler and is kept") {
  Bench bench;
  const bool load = GENERATE(true, false);
  (load ? bench.control.fail_load : bench.control.fail_warm_up) = true;
  bench.scheduler.Start(FakeFactory(bench.control));
  bench.scheduler.WaitFor(ServerState::kStopped);
  const Status status = bench.scheduler.load_status();
  CHECK(status.code() == (load ? StatusCode::kUnreadable : StatusCode::kInternal));
  CHECK(status.message() == (load ? "policy.pt: truncated" : "no such operator"));
  CHECK(bench.States() == std::vector{ServerState::kStopped});
  CHECK(bench.control.policies_alive == 0);
  FakeJob job;
  bench.scheduler.Submit(job);
  CHECK(job.refusal_ == Reason::kDraining);
}

TEST_CASE("running out of memory while loading or warming up is a failure like others") {
  Bench bench;
  const bool load = GENERATE(true, false);
  (load ? bench.control.throw_in_load : bench.control.throw_in_warm_up) = true;
  bench.scheduler.Start(FakeFactory(bench.control));
  bench.scheduler.WaitFor(ServerState::kStopped);
  const Status status = bench.scheduler.load_status();
  CHECK(status.code() == StatusCode::kInternal);
  CHECK(status.message() ==
        (load ? "loading the policy: std::bad_alloc" : "warm-up: std::bad_alloc"));
}

TEST_CASE("no request is lost when a stop and a failure to load meet") {
  // Requests that come while the stop is on its way: the race needs many tries.
  for (int round = 0; round < 300; ++round) {
    Bench bench;
    std::atomic<bool> hold_factory = true;
    bench.scheduler.Start([&]() -> Result<std::unique_ptr<Policy>> {
      while (hold_factory) std::this_thread::yield();
      return Status(StatusCode::kUnreadable, "policy.pt: truncated");
    });
    std::deque<FakeJob> jobs;
    std::atomic<bool> submitting = false;
    std::thread client([&] {
      do {
        bench.scheduler.Submit(jobs.emplace_back());
        submitting = true;
      } while (jobs.back().refusal_ == Reason::kLoading);
    });
    while (!submitting) std::this_thread::yield();
    bench.scheduler.RequestStop();
    client.join();
    hold_factory = false;
    bench.scheduler.WaitFor(ServerState::kStopped);
    REQUIRE(Answered(jobs.back()));
    REQUIRE(jobs.back().refusal_ == Reason::kDraining);
  }
}

TEST_CASE("a stop while loading skips the warm-up") {
  Bench bench;
  std::atomic<bool> hold_factory = true;
  bench.control.fail_warm_up = true;  // must not be reached
  bench.scheduler.Start([&]() -> Result<std::unique_ptr<Policy>> {
    while (hold_factory) std::this_thread::yield();
    return FakeFactory(bench.control)();
  });
  bench.scheduler.RequestStop();
  hold_factory = false;
  bench.scheduler.WaitFor(ServerState::kStopped);
  CHECK(bench.scheduler.load_status().ok());
  CHECK(bench.States() == std::vector{ServerState::kDraining, ServerState::kStopped});
}

TEST_CASE("a request whose deadline passes while it waits is never run") {
  Bench bench;
  bench.StartServing();
  FakeJob running;
  bench.Occupy(running);
  FakeJob waiting;
  waiting.deadline_ = bench.clock.Now() + std::chrono::milliseconds(50);
  bench.scheduler.Submit(waiting);
  CHECK(waiting.answers_ == 0);
  bench.clock.Advance(std::chrono::milliseconds(50));
  bench.control.hold_infer = false;
  REQUIRE(Answered(waiting));
  CHECK(waiting.refusal_ == Reason::kExpired);
  CHECK(bench.control.infers_started == 1);
}

TEST_CASE("a request whose client leaves while it waits is never run") {
  Bench bench;
  bench.StartServing();
  FakeJob running;
  bench.Occupy(running);
  FakeJob waiting;
  bench.scheduler.Submit(waiting);
  waiting.cancelled_ = true;
  bench.control.hold_infer = false;
  REQUIRE(Answered(waiting));
  CHECK(waiting.refusal_ == Reason::kCancelled);
  CHECK(bench.control.infers_started == 1);
}

TEST_CASE("a running inference ends between steps when its client leaves or its time is up") {
  Bench bench;
  bench.StartServing();
  FakeJob running;
  running.deadline_ = bench.clock.Now() + std::chrono::seconds(1);
  bench.Occupy(running);
  const bool cancel = GENERATE(true, false);
  if (cancel) {
    running.cancelled_ = true;
  } else {
    bench.clock.Advance(std::chrono::seconds(1));
  }
  REQUIRE(Answered(running));
  CHECK(running.code_ == (cancel ? StatusCode::kCancelled : StatusCode::kDeadlineExceeded));
  CHECK(bench.control.interrupted == 1);
  // The worker lives on.
  bench.control.hold_infer = false;
  FakeJob next;
  bench.scheduler.Submit(next);
  REQUIRE(Answered(next));
  CHECK(next.code_ == StatusCode::kOk);
}

TEST_CASE("a full queue says when to come back") {
  Bench bench(1);
  bench.StartServing();
  FakeJob running;
  bench.Occupy(running);
  FakeJob waiting;
  FakeJob surplus;
  bench.scheduler.Submit(waiting);
  bench.scheduler.Submit(surplus);
  REQUIRE(surplus.answers_ == 1);
  CHECK(surplus.refusal_ == Reason::kQueueFull);
  CHECK(surplus.retry_after_.count() >= 10);
  CHECK(waiting.answers_ == 0);
  bench.control.hold_infer = false;
  REQUIRE(Answered(waiting));
  CHECK(waiting.code_ == StatusCode::kOk);
}

TEST_CASE("only whole inferences say how long a place in the queue takes to become free") {
  Bench bench(1);
  bench.StartServing();
  FakeJob whole;
  bench.Occupy(whole);
  bench.clock.Advance(std::chrono::milliseconds(700));
  bench.control.hold_infer = false;
  REQUIRE(Answered(whole));
  FakeJob failed;
  bench.control.return_internal = true;
  bench.scheduler.Submit(failed);
  REQUIRE(Answered(failed));
  FakeJob running;
  bench.Occupy(running);
  FakeJob waiting;
  FakeJob surplus;
  bench.scheduler.Submit(waiting);
  bench.scheduler.Submit(surplus);
  CHECK(surplus.refusal_ == Reason::kQueueFull);
  CHECK(surplus.retry_after_ == std::chrono::milliseconds(700));
}

TEST_CASE("a stop finishes what was accepted and refuses what comes later") {
  Bench bench;
  bench.StartServing();
  FakeJob running;
  bench.Occupy(running);
  FakeJob waiting;
  bench.scheduler.Submit(waiting);
  bench.scheduler.RequestStop();
  FakeJob late;
  bench.scheduler.Submit(late);
  CHECK(late.refusal_ == Reason::kDraining);
  CHECK_FALSE(bench.scheduler.WaitFor(ServerState::kStopped, std::chrono::milliseconds(20)));
  bench.control.hold_infer = false;
  bench.scheduler.WaitFor(ServerState::kStopped);
  CHECK(running.code_ == StatusCode::kOk);
  CHECK(waiting.code_ == StatusCode::kOk);
  CHECK_FALSE(waiting.refusal_);
  CHECK(bench.scheduler.aborted() == 0);
}

TEST_CASE("an abort refuses what waits and interrupts what runs") {
  Bench bench;
  bench.StartServing();
  FakeJob running;
  bench.Occupy(running);
  FakeJob waiting;
  bench.scheduler.Submit(waiting);
  bench.scheduler.Abort();
  bench.scheduler.WaitFor(ServerState::kStopped);
  CHECK(waiting.refusal_ == Reason::kDraining);
  CHECK(running.code_ == StatusCode::kUnavailable);
  CHECK(bench.scheduler.aborted() == 2);
  CHECK(running.answers_ == 1);
  CHECK(waiting.answers_ == 1);
}

}  // namespace
}  // namespace vlaserve
