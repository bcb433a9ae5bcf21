#include "server/service/rpc_status.h"

#include <utility>
#include <vector>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/service/rpc_code.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

TEST_CASE("each kind of failure has its gRPC code") {
  const std::vector<std::pair<StatusCode, std::string_view>> table = {
      {StatusCode::kInvalidArgument, "INVALID_ARGUMENT"},
      {StatusCode::kFailedPrecondition, "FAILED_PRECONDITION"},
      {StatusCode::kUnsupported, "UNIMPLEMENTED"},
      {StatusCode::kResourceExhausted, "RESOURCE_EXHAUSTED"},
      {StatusCode::kCancelled, "CANCELLED"},
      {StatusCode::kDeadlineExceeded, "DEADLINE_EXCEEDED"},
      {StatusCode::kUnavailable, "UNAVAILABLE"},
      {StatusCode::kNotFound, "INTERNAL"},
      {StatusCode::kUnreadable, "INTERNAL"},
      {StatusCode::kIo, "INTERNAL"},
      {StatusCode::kDevice, "INTERNAL"},
      {StatusCode::kInternal, "INTERNAL"},
  };
  for (const auto& [code, name] : table) {
    CAPTURE(name);
    const grpc::Status status = ToRpcStatus(Status(code, "why"), "id");
    CHECK(RpcCodeName(status.error_code()) == name);
    // What happened inside the server is for its log.
    CHECK((status.error_message() == "why") == (name != "INTERNAL"));
  }
}

TEST_CASE("a field becomes a PreconditionFailure where the policy is what does not fit") {
  const grpc::Status status =
      ToRpcStatus(Status(StatusCode::kFailedPrecondition, "images", "too old"), "id");
  CHECK(status.error_message() == "images: too old");
  google::rpc::Status details;
  REQUIRE(details.ParseFromString(status.error_details()));
  google::rpc::PreconditionFailure failure;
  REQUIRE(details.details_size() == 1);
  REQUIRE(details.details(0).UnpackTo(&failure));
  CHECK(failure.violations(0).subject() == "images");
  CHECK(failure.violations(0).description() == "too old");
}

TEST_CASE("details carry the type names that other languages' tools look for") {
  google::rpc::Status details;
  REQUIRE(details.ParseFromString(
      ToRpcStatus(Refusal{Refusal::Reason::kQueueFull, std::chrono::milliseconds(1250)})
          .error_details()));
  REQUIRE(details.details_size() == 2);
  CHECK(details.details(0).type_url() == "type.googleapis.com/google.rpc.ErrorInfo");
  CHECK(details.details(1).type_url() == "type.googleapis.com/google.rpc.RetryInfo");
  google::rpc::RetryInfo retry;
  REQUIRE(details.details(1).UnpackTo(&retry));
  CHECK(retry.retry_delay().seconds() == 1);
  CHECK(retry.retry_delay().nanos() == 250'000'000);
}

}  // namespace
}  // namespace vlaserve
