#include "server/client/request_json.h"

#include <string>

#include <google/protobuf/util/json_util.h>

namespace vlaserve {

Result<v1::InferRequest> ParseInferRequestJson(std::string_view json, std::string_view origin) {
  v1::InferRequest request;
  const auto status = google::protobuf::util::JsonStringToMessage(std::string(json), &request);
  if (!status.ok()) {
    return Status(StatusCode::kInvalidArgument,
                  std::string(origin) + ": not an InferRequest in protobuf's JSON form: " +
                      std::string(status.message()));
  }
  return request;
}

}  // namespace vlaserve
