// The gRPC client side: what `vlaserve infer` and `vlaserve health` do. Knows no gRPC in the
// header.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/io/status.h"
#include "model/policy/policy.h"
#include "model/transforms/image.h"

namespace vlaserve {

// A PNG or JPEG file as it is; the server decodes it.
struct EncodedImage {
  std::string bytes;
};

// InferRequest in plain types (proto/vlaserve/v1/policy.proto has the meanings).
struct InferCallRequest {
  // By camera name. Sent as JPEG where the file begins like one, else as PNG.
  std::map<std::string, EncodedImage> encoded_images;
  std::map<std::string, RgbImage> rgb_images;  // by camera name, sent as RGB8
  std::vector<double> state;
  std::optional<std::string> prompt;
  std::optional<uint64_t> seed;
  std::vector<float> noise;
  std::optional<uint32_t> num_steps;
  std::string session_id;
  uint64_t sequence = 0;
  std::string request_id;
};

// How an RPC ended when not well.
struct RpcError {
  std::string code;                  // gRPC's name: "INVALID_ARGUMENT"
  std::string message;               // the server's words
  std::vector<std::string> details;  // google.rpc details, one per line: "state: expected 8 …"
};

struct InferReply {
  std::optional<RpcError> error;  // set: all else is empty
  ActionChunk chunk;              // timings, seed and prompt_truncated included
  double queue_ms = 0;
  double total_ms = 0;
  std::string request_id;
  uint64_t sequence = 0;
  std::string json;  // the InferResponse in protobuf's JSON form, proto field names, with newline
};

// The exit codes of grpc_health_probe.
enum class ProbeOutcome {
  kServing = 0,
  kUsage = 1,           // for the command line: never returned here
  kConnectFailure = 2,  // no connection within the time limit
  kRpcFailure = 3,      // the call failed, timed out, or the service name is unknown
  kNotServing = 4,
};

struct ProbeResult {
  ProbeOutcome outcome = ProbeOutcome::kServing;
  std::string message;  // one line for people: "127.0.0.1:50051: NOT_SERVING"
};

// One connection to one server. Thread-safe.
class Client {
 public:
  // Prepares a connection in clear text to "HOST:PORT"; nothing is sent before the first call.
  // Errors: kInvalidArgument for an address without a port.
  static Result<std::unique_ptr<Client>> Create(const std::string& address);
  ~Client();

  // Sends the request and waits for the answer, at most `timeout`, connecting included. Errors
  // (Status) are those of the request itself: kInvalidArgument for a camera with two pictures. What
  // the server or the network says is in InferReply::error.
  Result<InferReply> Infer(const InferCallRequest& request, std::chrono::milliseconds timeout);

  // The same for an InferRequest in protobuf's JSON form (lowerCamelCase or proto names; unknown
  // fields are errors; bytes in base64). `origin` names the text in messages.
  Result<InferReply> InferJson(std::string_view json, std::string_view origin,
                               std::chrono::milliseconds timeout);

  // grpc.health.v1 Check of a service ("" is the whole server). `timeout` is given once to the
  // connection and once to the call.
  ProbeResult CheckHealth(const std::string& service, std::chrono::milliseconds timeout);

 private:
  struct Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace vlaserve
