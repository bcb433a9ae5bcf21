#include "server/client/client.h"

#include <utility>

#include <google/protobuf/util/json_util.h>
#include <grpcpp/grpcpp.h>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "server/client/request_json.h"
#include "server/service/rpc_code.h"
#include "vlaserve/v1/policy.grpc.pb.h"

namespace vlaserve {
namespace {

using Milliseconds64 = std::chrono::milliseconds;

std::chrono::system_clock::time_point After(Milliseconds64 timeout) {
  return std::chrono::system_clock::now() + timeout;
}

// One readable line per detail that the server is known to send.
std::vector<std::string> DetailLines(const grpc::Status& status) {
  std::vector<std::string> lines;
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details())) return lines;
  for (const google::protobuf::Any& detail : details.details()) {
    google::rpc::BadRequest bad_request;
    google::rpc::PreconditionFailure precondition;
    google::rpc::ErrorInfo info;
    google::rpc::RetryInfo retry;
    if (detail.UnpackTo(&bad_request)) {
      for (const auto& violation : bad_request.field_violations()) {
        lines.push_back(violation.field() + ": " + violation.description());
      }
    } else if (detail.UnpackTo(&precondition)) {
      for (const auto& violation : precondition.violations()) {
        lines.push_back(violation.subject() + ": " + violation.description());
      }
    } else if (detail.UnpackTo(&info)) {
      lines.push_back("reason: " + info.reason());
    } else if (detail.UnpackTo(&retry)) {
      const double seconds = static_cast<double>(retry.retry_delay().seconds()) +
                             static_cast<double>(retry.retry_delay().nanos()) * 1e-9;
      lines.push_back("retry after " + std::to_string(seconds) + " s");
    }
  }
  return lines;
}

RpcError ToRpcError(const grpc::Status& status) {
  return {std::string(RpcCodeName(status.error_code())), status.error_message(),
          DetailLines(status)};
}

// By the file's first bytes. What is no picture at all goes as PNG: the server is the one to judge.
v1::Image::Encoding EncodingOf(const std::string& bytes) {
  return bytes.starts_with("\xff\xd8\xff") ? v1::Image::ENCODING_JPEG : v1::Image::ENCODING_PNG;
}

Result<v1::InferRequest> ToMessage(const InferCallRequest& call) {
  v1::InferRequest request;
  for (const auto& [camera, image] : call.encoded_images) {
    v1::Image& out = (*request.mutable_images())[camera];
    out.set_encoding(EncodingOf(image.bytes));
    out.set_data(image.bytes);
  }
  for (const auto& [camera, image] : call.rgb_images) {
    if (call.encoded_images.contains(camera)) {
      return Status(StatusCode::kInvalidArgument, "images[" + camera + "]", "is given twice");
    }
    v1::Image& out = (*request.mutable_images())[camera];
    out.set_encoding(v1::Image::ENCODING_RGB8);
    out.set_data(image.pixels.data(), image.pixels.size());
    out.set_height(image.height);
    out.set_width(image.width);
  }
  request.mutable_state()->Add(call.state.begin(), call.state.end());
  if (call.prompt) request.set_prompt(*call.prompt);
  if (call.seed) request.set_seed(*call.seed);
  request.mutable_noise()->Add(call.noise.begin(), call.noise.end());
  if (call.num_steps) request.set_num_steps(*call.num_steps);
  request.set_session_id(call.session_id);
  request.set_sequence(call.sequence);
  request.set_request_id(call.request_id);
  return request;
}

Result<std::string> ToJson(const v1::InferResponse& response) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(response, &json, options);
  if (!status.ok()) {
    return Status(StatusCode::kInternal, "the response has no JSON form: " + status.ToString());
  }
  return json;
}

Result<InferReply> ToReply(const v1::InferResponse& response) {
  InferReply reply;
  VLASERVE_ASSIGN_OR_RETURN(reply.json, ToJson(response));
  reply.chunk.actions.assign(response.actions().begin(), response.actions().end());
  reply.chunk.horizon = response.horizon();
  reply.chunk.action_dim = response.action_dim();
  reply.chunk.seed = response.seed();
  reply.chunk.prompt_truncated = response.prompt_truncated();
  const v1::Timings& timings = response.timings();
  reply.chunk.timings = {timings.preprocess_ms(), timings.prefix_ms(), timings.denoise_ms(),
                         timings.postprocess_ms()};
  reply.queue_ms = timings.queue_ms();
  reply.total_ms = timings.total_ms();
  reply.request_id = response.request_id();
  reply.sequence = response.sequence();
  return reply;
}

}  // namespace

struct Client::Impl {
  std::string address;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::PolicyService::Stub> policy;
  std::unique_ptr<grpc::health::v1::Health::Stub> health;

  Result<InferReply> Send(const v1::InferRequest& request, Milliseconds64 timeout) {
    grpc::ClientContext context;
    context.set_deadline(After(timeout));
    v1::InferResponse response;
    const grpc::Status status = policy->Infer(&context, request, &response);
    if (status.ok()) return ToReply(response);
    InferReply reply;
    reply.error = ToRpcError(status);
    return reply;
  }
};

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() = default;

Result<std::unique_ptr<Client>> Client::Create(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == address.size() ||
      address.find_first_not_of("0123456789", colon + 1) != std::string::npos) {
    return Status(StatusCode::kInvalidArgument, "server",
                  "\"" + address + "\", expected HOST:PORT");
  }
  grpc::ChannelArguments arguments;
  // A robot's server is nearby; an http_proxy meant for the internet would only get in the way.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  auto impl = std::make_unique<Impl>();
  impl->address = address;
  impl->channel = grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
  impl->policy = v1::PolicyService::NewStub(impl->channel);
  impl->health = grpc::health::v1::Health::NewStub(impl->channel);
  return std::unique_ptr<Client>(new Client(std::move(impl)));
}

Result<InferReply> Client::Infer(const InferCallRequest& request, Milliseconds64 timeout) {
  VLASERVE_ASSIGN_OR_RETURN(const v1::InferRequest message, ToMessage(request));
  return impl_->Send(message, timeout);
}

Result<InferReply> Client::InferJson(std::string_view json, std::string_view origin,
                                     Milliseconds64 timeout) {
  VLASERVE_ASSIGN_OR_RETURN(const v1::InferRequest message, ParseInferRequestJson(json, origin));
  return impl_->Send(message, timeout);
}

ProbeResult Client::CheckHealth(const std::string& service, Milliseconds64 timeout) {
  const std::string who =
      impl_->address + (service.empty() ? std::string() : " (" + service + ")") + ": ";
  if (!impl_->channel->WaitForConnected(After(timeout))) {
    return {ProbeOutcome::kConnectFailure,
            who + "no connection within " + std::to_string(timeout.count()) + " ms"};
  }
  grpc::ClientContext context;
  context.set_deadline(After(timeout));
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(service);
  grpc::health::v1::HealthCheckResponse response;
  const grpc::Status status = impl_->health->Check(&context, request, &response);
  if (!status.ok()) {
    return {ProbeOutcome::kRpcFailure, who + std::string(RpcCodeName(status.error_code())) +
                                           (status.error_message().empty() ? "" : ": ") +
                                           status.error_message()};
  }
  const bool serving = response.status() == grpc::health::v1::HealthCheckResponse::SERVING;
  return {serving ? ProbeOutcome::kServing : ProbeOutcome::kNotServing,
          who + grpc::health::v1::HealthCheckResponse::ServingStatus_Name(response.status())};
}

}  // namespace vlaserve
