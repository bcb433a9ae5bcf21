#include "server/service/rpc_status.h"

#include <chrono>
#include <cstdint>
#include <optional>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace vlaserve {
namespace {

constexpr char kDomain[] = "vlaserve";

// A status under construction; details are added as Any.
class Builder {
 public:
  Builder(grpc::StatusCode code, std::string message) {
    status_.set_code(static_cast<int32_t>(code));
    status_.set_message(std::move(message));
  }
  template <typename Detail>
  void Add(const Detail& detail) {
    status_.add_details()->PackFrom(detail);
  }
  grpc::Status Build() const {
    return {static_cast<grpc::StatusCode>(status_.code()), status_.message(),
            status_.SerializeAsString()};
  }

 private:
  google::rpc::Status status_;
};

grpc::StatusCode CodeOf(StatusCode code) {
  switch (code) {
    case StatusCode::kOk:
      return grpc::StatusCode::OK;
    case StatusCode::kInvalidArgument:
      return grpc::StatusCode::INVALID_ARGUMENT;
    case StatusCode::kFailedPrecondition:
      return grpc::StatusCode::FAILED_PRECONDITION;
    case StatusCode::kUnsupported:
      return grpc::StatusCode::UNIMPLEMENTED;
    case StatusCode::kResourceExhausted:
      return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case StatusCode::kCancelled:
      return grpc::StatusCode::CANCELLED;
    case StatusCode::kDeadlineExceeded:
      return grpc::StatusCode::DEADLINE_EXCEEDED;
    case StatusCode::kUnavailable:
      return grpc::StatusCode::UNAVAILABLE;
    case StatusCode::kNotFound:
    case StatusCode::kUnreadable:
    case StatusCode::kIo:
    case StatusCode::kDevice:
    case StatusCode::kInternal:
      return grpc::StatusCode::INTERNAL;
  }
  return grpc::StatusCode::INTERNAL;
}

struct RefusalWords {
  grpc::StatusCode code;
  const char* reason;  // of ErrorInfo; null: the code says it all
  const char* message;
};

RefusalWords WordsOf(Refusal::Reason reason) {
  switch (reason) {
    case Refusal::Reason::kLoading:
      return {grpc::StatusCode::UNAVAILABLE, "LOADING", "the policy is still being loaded"};
    case Refusal::Reason::kDraining:
      return {grpc::StatusCode::UNAVAILABLE, "DRAINING", "the server is going away"};
    case Refusal::Reason::kQueueFull:
      return {grpc::StatusCode::RESOURCE_EXHAUSTED, "QUEUE_FULL",
              "as many requests wait as the server allows"};
    case Refusal::Reason::kSuperseded:
      return {grpc::StatusCode::ABORTED, "SUPERSEDED",
              "a newer request of the same session is waiting"};
    case Refusal::Reason::kExpired:
      return {grpc::StatusCode::DEADLINE_EXCEEDED, nullptr,
              "the deadline passed before the request's turn"};
    case Refusal::Reason::kCancelled:
      return {grpc::StatusCode::CANCELLED, nullptr, "the client left before the request's turn"};
  }
  return {grpc::StatusCode::INTERNAL, nullptr, "unknown refusal"};
}

}  // namespace

grpc::Status ToRpcStatus(const Status& status, std::string_view request_id) {
  const grpc::StatusCode code = CodeOf(status.code());
  if (code == grpc::StatusCode::INTERNAL) {
    return Builder(code,
                   "inference failed inside the server; its log has the reason under request_id " +
                       std::string(request_id))
        .Build();
  }
  const std::string& field = status.field();
  Builder builder(code, field.empty() ? status.message() : field + ": " + status.message());
  if (!field.empty() && code == grpc::StatusCode::INVALID_ARGUMENT) {
    google::rpc::BadRequest detail;
    auto* violation = detail.add_field_violations();
    violation->set_field(field);
    violation->set_description(status.message());
    builder.Add(detail);
  } else if (!field.empty() && code == grpc::StatusCode::FAILED_PRECONDITION) {
    google::rpc::PreconditionFailure detail;
    auto* violation = detail.add_violations();
    violation->set_type("POLICY");
    violation->set_subject(field);
    violation->set_description(status.message());
    builder.Add(detail);
  } else if (code == grpc::StatusCode::UNAVAILABLE) {
    // Only an inference that was interrupted by the end of the drain budget.
    google::rpc::ErrorInfo info;
    info.set_reason("DRAINING");
    info.set_domain(kDomain);
    builder.Add(info);
  }
  return builder.Build();
}

grpc::Status ToRpcStatus(const Refusal& refusal) {
  const RefusalWords words = WordsOf(refusal.reason);
  Builder builder(words.code, words.message);
  if (words.reason != nullptr) {
    google::rpc::ErrorInfo info;
    info.set_reason(words.reason);
    info.set_domain(kDomain);
    builder.Add(info);
  }
  if (refusal.retry_after.count() > 0) {
    google::rpc::RetryInfo retry;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(refusal.retry_after);
    const auto nanos = std::chrono::nanoseconds(refusal.retry_after - seconds);
    retry.mutable_retry_delay()->set_seconds(seconds.count());
    retry.mutable_retry_delay()->set_nanos(static_cast<int32_t>(nanos.count()));
    builder.Add(retry);
  }
  return builder.Build();
}

}  // namespace vlaserve
