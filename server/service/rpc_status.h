// Our errors as gRPC statuses with google.rpc details (serving.md §4.4, policy.proto).
#pragma once

#include <string>
#include <string_view>

#include <grpcpp/support/status.h>

#include "model/io/status.h"
#include "server/service/job.h"

namespace vlaserve {

// A failed Status. With a field, INVALID_ARGUMENT carries BadRequest and FAILED_PRECONDITION
// carries PreconditionFailure, and the message begins with the field. Faults on our side become
// INTERNAL with `request_id` instead of the message, which is for the log only.
grpc::Status ToRpcStatus(const Status& status, std::string_view request_id);

// A request that was not run.
grpc::Status ToRpcStatus(const Refusal& refusal);

}  // namespace vlaserve
