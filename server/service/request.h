// InferRequest to plain structs: everything about a request that can be checked without the policy.
//
// Errors are kInvalidArgument with field() as a path within InferRequest, for instance
// "images[wrist_image].data". What depends on the policy (state length, noise length, prompt) is
// checked by Policy::Validate with field names of the same form.
//
// Thread-safety: free functions without state.
#pragma once

#include <cstdint>
#include <functional>

#include <grpcpp/support/byte_buffer.h>

#include "model/io/status.h"
#include "model/policy/policy.h"
#include "model/settings/policy_settings.h"
#include "vlaserve/v1/policy.pb.h"

namespace vlaserve {

inline constexpr size_t kMaxIdBytes = 128;  // of session_id and request_id

// Parses the serialized message. gRPC's own parsing would answer UNIMPLEMENTED without a word to
// text that is not UTF-8 and to bytes that are no message; this names the field or says so.
// `bytes` is left empty, and `request` too on failure.
Status ParseInferRequest(grpc::ByteBuffer& bytes, v1::InferRequest& request);

// The cheap checks, before a request may wait: ids, camera names (exactly those of `settings`, no
// other, none missing that is not optional), encodings, and the headers of the pictures.
Status CheckInferRequest(const v1::InferRequest& request, const PolicySettings& settings);

// Decodes the pictures (most of the time that a request costs besides the policy) and copies the
// rest. Precondition: CheckInferRequest was ok.
Result<Observation> DecodeObservation(const v1::InferRequest& request);

// `draw_seed` is called when the request has neither seed nor noise; `num_steps` is used when it
// does not say.
InferOptions MakeInferOptions(const v1::InferRequest& request, int64_t num_steps,
                              const std::function<uint64_t()>& draw_seed);

}  // namespace vlaserve
