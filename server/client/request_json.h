// InferRequest as text: what files for `vlaserve infer --request` and `calibrate --request` hold.
#pragma once

#include <string_view>

#include "model/io/status.h"
#include "vlaserve/v1/policy.pb.h"

namespace vlaserve {

// Protobuf's JSON form: lowerCamelCase or proto names; unknown fields are errors; bytes in base64.
// kInvalidArgument; `origin` names the text in the message.
Result<v1::InferRequest> ParseInferRequestJson(std::string_view json, std::string_view origin);

}  // namespace vlaserve
