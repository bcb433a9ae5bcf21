// Loading, health, queueing and stopping, over real connections.
#include <future>
#include <string>
#include <vector>

#include "server/service/server.h"
#include "tests/server/service/support/server_fixture.h"

namespace vlaserve {
namespace {

using testing::Eventually;
using testing::kPolicyService;
using testing::PendingInfer;
using testing::Reason;
using testing::ServerFixture;
using testing::ValidRequest;

// Has one inference running, not finished.
std::unique_ptr<PendingInfer> Occupy(ServerFixture& fixture) {
  fixture.control.hold_infer = true;
  auto running = std::make_unique<PendingInfer>(fixture, ValidRequest());
  REQUIRE(Eventually([&] { return fixture.control.infers_started == 1; }));
  return running;
}

v1::InferRequest SessionRequest(uint64_t sequence) {
  v1::InferRequest request = ValidRequest();
  request.set_session_id("robot");
  request.set_sequence(sequence);
  request.set_prompt("step " + std::to_string(sequence));
  return request;
}

TEST_CASE("health is NOT_SERVING until warmed up, then SERVING") {
  ServerFixture fixture;
  fixture.control.hold_warm_up = true;
  fixture.Start();
  CHECK(fixture.Health() == "NOT_SERVING");
  CHECK(fixture.Health(kPolicyService) == "NOT_SERVING");
  CHECK(fixture.Health("no.such.Service") == "NOT_FOUND");
  CHECK(fixture.Info().state() == v1::GetServerInfoResponse::STATE_LOADING);
  const grpc::Status early = fixture.Infer(ValidRequest());
  CHECK(early.error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK(Reason(early) == "LOADING");
  CHECK(testing::Detail<google::rpc::RetryInfo>(early).retry_delay().seconds() == 1);

  fixture.control.hold_warm_up = false;
  REQUIRE(fixture.server->WaitUntilServing().ok());
  CHECK(fixture.Health() == "SERVING");
  CHECK(fixture.Health(kPolicyService) == "SERVING");
  CHECK(fixture.Info().state() == v1::GetServerInfoResponse::STATE_SERVING);
  CHECK(fixture.Infer(ValidRequest()).ok());
}

TEST_CASE("a policy that cannot be loaded or warmed up is what Wait returns") {
  ServerFixture fixture;
  const bool load = GENERATE(true, false);
  (load ? fixture.control.fail_load : fixture.control.fail_warm_up) = true;
  fixture.Start();
  const Status serving = fixture.server->WaitUntilServing();
  const Status status = fixture.server->Wait();
  CHECK(status.code() == (load ? StatusCode::kUnreadable : StatusCode::kInternal));
  CHECK(serving.code() == status.code());
  CHECK(serving.message() == status.message());
}

TEST_CASE("health is answered while an inference runs and others wait") {
  ServerFixture fixture;
  fixture.Start();
  const auto running = Occupy(fixture);
  const PendingInfer waiting(fixture, ValidRequest());
  const auto before = std::chrono::steady_clock::now();
  CHECK(fixture.Health() == "SERVING");
  CHECK(std::chrono::steady_clock::now() - before < std::chrono::seconds(5));
  fixture.Release();
}

TEST_CASE("a full queue is RESOURCE_EXHAUSTED with QUEUE_FULL and a retry delay") {
  ServerFixture fixture;
  fixture.options.queue_capacity = 1;
  fixture.Start();
  const auto running = Occupy(fixture);
  PendingInfer first(fixture, ValidRequest());
  PendingInfer second(fixture, ValidRequest());
  REQUIRE(Eventually([&] { return first.Done() || second.Done(); }));
  PendingInfer& refused = first.Done() ? first : second;
  PendingInfer& waiting = first.Done() ? second : first;
  const grpc::Status status = refused.Await();
  CHECK(status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK(Reason(status) == "QUEUE_FULL");
  const auto delay = testing::Detail<google::rpc::RetryInfo>(status).retry_delay();
  CHECK(delay.seconds() * 1'000'000'000 + delay.nanos() >= 10'000'000);
  fixture.Release();
  CHECK(waiting.Await().ok());
  CHECK(running->Await().ok());
}

TEST_CASE("a newer request of a session supersedes the one that waits") {
  ServerFixture fixture;
  fixture.Start();
  const auto running = Occupy(fixture);
  PendingInfer old(fixture, SessionRequest(1));
  // Only one of the two can be the first to arrive: sequences decide either way.
  PendingInfer newer(fixture, SessionRequest(2));
  const grpc::Status status = old.Await();
  CHECK(status.error_code() == grpc::StatusCode::ABORTED);
  CHECK(Reason(status) == "SUPERSEDED");
  fixture.Release();
  REQUIRE(newer.Await().ok());
  CHECK(newer.response().sequence() == 2);
  CHECK(running->Await().ok());
  CHECK(fixture.control.prompts == std::vector<std::string>{"pick up the soup", "step 2"});
}

TEST_CASE("a request whose deadline passes while it waits is not run") {
  ServerFixture fixture;
  fixture.Start();
  const auto running = Occupy(fixture);
  PendingInfer waiting(fixture, ValidRequest(), std::chrono::milliseconds(100));
  CHECK(waiting.Await().error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
  fixture.Release();
  CHECK(running->Await().ok());
  CHECK(fixture.Infer(ValidRequest()).ok());
  CHECK(fixture.control.infers_started == 2);  // the running one and the last one
}

TEST_CASE("an inference ends between steps when its client leaves or its deadline passes") {
  ServerFixture fixture;
  fixture.Start();
  fixture.control.hold_infer = true;
  const bool cancel = GENERATE(true, false);
  PendingInfer running(fixture, ValidRequest(), std::chrono::milliseconds(cancel ? 20'000 : 300));
  REQUIRE(Eventually([&] { return fixture.control.infers_started == 1; }));
  if (cancel) running.Cancel();
  CHECK(running.Await().error_code() ==
        (cancel ? grpc::StatusCode::CANCELLED : grpc::StatusCode::DEADLINE_EXCEEDED));
  CHECK(Eventually([&] { return fixture.control.infers_ended == 1; }));
  CHECK(fixture.control.interrupted == 1);
  fixture.Release();
  CHECK(fixture.Infer(ValidRequest()).ok());
}

TEST_CASE("a stop finishes what was accepted, refuses the rest, and says so in its health") {
  ServerFixture fixture;
  fixture.Start();
  CHECK(fixture.Health() == "SERVING");
  const auto running = Occupy(fixture);
  std::vector<std::unique_ptr<PendingInfer>> waiting;
  for (int i = 0; i < 10; ++i) {
    v1::InferRequest request = SessionRequest(2);
    request.set_session_id("robot " + std::to_string(i));
    waiting.push_back(std::make_unique<PendingInfer>(fixture, request));
    // Whichever of the two arrives first: once this one is refused, the other one waits.
    request.set_sequence(1);
    CHECK(fixture.Infer(request).error_code() == grpc::StatusCode::ABORTED);
  }
  fixture.server->RequestStop();
  CHECK(fixture.Health() == "NOT_SERVING");
  CHECK(fixture.Health(kPolicyService) == "NOT_SERVING");
  CHECK(fixture.Info().state() == v1::GetServerInfoResponse::STATE_DRAINING);
  const grpc::Status late = fixture.Infer(ValidRequest());
  CHECK(late.error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK(Reason(late) == "DRAINING");
  std::future<Status> stopped =
      std::async(std::launch::async, [&] { return fixture.server->Wait(); });
  CHECK(stopped.wait_for(std::chrono::milliseconds(100)) == std::future_status::timeout);
  fixture.Release();
  CHECK(stopped.get().ok());
  CHECK(running->Await().ok());
  for (const auto& call : waiting) CHECK(call->Await().ok());
  CHECK(fixture.control.policies_alive == 0);
}

TEST_CASE("what is not finished within the drain time is given up") {
  ServerFixture fixture;
  fixture.options.drain_ms = 50;
  fixture.Start();
  const auto running = Occupy(fixture);
  fixture.server->RequestStop();
  const Status status = fixture.server->Wait();
  CHECK(status.code() == StatusCode::kDeadlineExceeded);
  CHECK_THAT(status.message(),
             Catch::StartsWith("1 accepted requests were not finished within the 0.05 s"));
  CHECK(running->Await().error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK(Reason(running->Await()) == "DRAINING");
}

TEST_CASE("the port is free again after the server has stopped") {
  ServerFixture fixture;
  fixture.Start();
  REQUIRE(fixture.Infer(ValidRequest()).ok());
  fixture.options.address = fixture.address();
  fixture.server.reset();
  fixture.Start();
  CHECK(fixture.Infer(ValidRequest()).ok());
}

}  // namespace
}  // namespace vlaserve
