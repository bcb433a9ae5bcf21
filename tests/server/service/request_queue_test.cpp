#include "server/service/request_queue.h"

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/server/service/support/fake_job.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

using testing::FakeJob;
using testing::ManualClock;
using Reason = Refusal::Reason;
using Refused = std::vector<RequestQueue::Refused>;

TEST_CASE("requests without a session leave in the order of arrival and are never displaced") {
  ManualClock clock;
  RequestQueue queue(3, clock);
  FakeJob a;
  FakeJob b;
  FakeJob c;
  CHECK(queue.Push(a).empty());
  CHECK(queue.Push(b).empty());
  CHECK(queue.Push(c).empty());
  CHECK(queue.Pop() == &a);
  CHECK(queue.Pop() == &b);
  CHECK(queue.Pop() == &c);
}

TEST_CASE("a full queue refuses the newcomer") {
  ManualClock clock;
  RequestQueue queue(1, clock);
  FakeJob a;
  FakeJob b;
  CHECK(queue.Push(a).empty());
  CHECK(queue.Push(b) == Refused{{&b, Reason::kQueueFull}});
  CHECK(queue.Pop() == &a);
  CHECK(queue.Push(b).empty());
}

TEST_CASE("a newer request of a session takes the place of the one that waits") {
  ManualClock clock;
  RequestQueue queue(2, clock);
  FakeJob old("robot", 7);
  FakeJob other("other", 1);
  FakeJob newer("robot", 8);
  CHECK(queue.Push(old).empty());
  CHECK(queue.Push(other).empty());
  // Also when the queue is full.
  CHECK(queue.Push(newer) == Refused{{&old, Reason::kSuperseded}});
  CHECK(queue.Pop() == &newer);  // in old's place, not at the end
  CHECK(queue.Pop() == &other);
}

TEST_CASE("a request that is not newer than the one that waits is refused itself") {
  ManualClock clock;
  RequestQueue queue(4, clock);
  FakeJob waiting("robot", 7);
  CHECK(queue.Push(waiting).empty());
  FakeJob late("robot", GENERATE(uint64_t{7}, uint64_t{6}));
  CHECK(queue.Push(late) == Refused{{&late, Reason::kSuperseded}});
  CHECK(queue.Pop() == &waiting);
}

TEST_CASE("where a sequence is unset the order of arrival decides") {
  ManualClock clock;
  RequestQueue queue(4, clock);
  const auto [first, second] =
      GENERATE(std::pair<uint64_t, uint64_t>{0, 0}, std::pair<uint64_t, uint64_t>{9, 0},
               std::pair<uint64_t, uint64_t>{0, 1});
  FakeJob waiting("robot", first);
  FakeJob newer("robot", second);
  CHECK(queue.Push(waiting).empty());
  CHECK(queue.Push(newer) == Refused{{&waiting, Reason::kSuperseded}});
}

TEST_CASE("cancelled and expired requests make room") {
  ManualClock clock;
  RequestQueue queue(2, clock);
  FakeJob cancelled("robot", 9);
  FakeJob expiring;
  expiring.deadline_ = clock.Now() + std::chrono::seconds(1);
  CHECK(queue.Push(cancelled).empty());
  CHECK(queue.Push(expiring).empty());
  cancelled.cancelled_ = true;
  clock.Advance(std::chrono::seconds(1));
  // An older sequence, but the newer one is dead.
  FakeJob next("robot", 8);
  CHECK(queue.Push(next) ==
        Refused{{&cancelled, Reason::kCancelled}, {&expiring, Reason::kExpired}});
  CHECK(queue.Clear() == std::vector<Job*>{&next});
}

TEST_CASE("a request that is dead on arrival is refused and displaces nothing") {
  ManualClock clock;
  RequestQueue queue(2, clock);
  FakeJob waiting("robot", 1);
  CHECK(queue.Push(waiting).empty());
  FakeJob expired("robot", 2);
  expired.deadline_ = clock.Now();
  expired.cancelled_ = true;  // as gRPC does at the deadline: still reported as expired
  CHECK(queue.Push(expired) == Refused{{&expired, Reason::kExpired}});
  FakeJob gone("robot", 3);
  gone.cancelled_ = true;
  CHECK(queue.Push(gone) == Refused{{&gone, Reason::kCancelled}});
  CHECK(queue.Pop() == &waiting);
}

TEST_CASE("a closed queue refuses newcomers and gives out what waits, then nothing") {
  ManualClock clock;
  RequestQueue queue(2, clock);
  FakeJob a;
  FakeJob b;
  CHECK(queue.Push(a).empty());
  queue.Close();
  CHECK(queue.Push(b) == Refused{{&b, Reason::kDraining}});
  CHECK(queue.Pop() == &a);
  CHECK(queue.Pop() == nullptr);
}

TEST_CASE("Pop waits for a job and for the end") {
  ManualClock clock;
  RequestQueue queue(2, clock);
  FakeJob a;
  std::vector<Job*> popped;
  std::thread worker([&] {
    while (Job* job = queue.Pop()) popped.push_back(job);
  });
  CHECK(queue.Push(a).empty());
  queue.Close();
  worker.join();
  CHECK(popped == std::vector<Job*>{&a});
}

TEST_CASE("Clear hands back what waits") {
  ManualClock clock;
  RequestQueue queue(2, clock);
  FakeJob a;
  FakeJob b;
  CHECK(queue.Push(a).empty());
  CHECK(queue.Push(b).empty());
  CHECK(queue.Clear() == std::vector<Job*>{&a, &b});
  CHECK(queue.Clear().empty());
}

}  // namespace
}  // namespace vlaserve
