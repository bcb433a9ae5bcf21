// A real server on a loopback port with a fake policy, and a stub to talk to it.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "server/service/server.h"
#include "tests/server/service/support/fake_policy.h"
#include "tests/support/catch.h"
#include "vlaserve/v1/policy.grpc.pb.h"

namespace vlaserve::testing {

inline constexpr char kPolicyService[] = "vlaserve.v1.PolicyService";

// A valid request: black 8 × 8 pictures.
inline v1::InferRequest ValidRequest() {
  v1::InferRequest request;
  for (const char* camera : {"image", "wrist_image"}) {
    v1::Image& image = (*request.mutable_images())[camera];
    image.set_encoding(v1::Image::ENCODING_RGB8);
    image.set_height(8);
    image.set_width(8);
    image.set_data(std::string(8 * 8 * 3, '\0'));
  }
  for (int i = 0; i < 8; ++i) request.add_state(i * 0.5);
  request.set_prompt("pick up the soup");
  request.set_seed(11);
  return request;
}

class ServerFixture {
 public:
  ServerFixture() { options.address = "127.0.0.1:0"; }
  ~ServerFixture() {
    Release();
    server.reset();
  }

  // Starts and, unless the test holds the warm-up, waits until the server serves.
  void Start() {
    Result<std::unique_ptr<Server>> started =
        Server::Start(options, FakeInfo(), FakeFactory(control), seams);
    INFO(started.status().message());
    REQUIRE(started.ok());
    server = *std::move(started);
    channel = NewChannel();
    stub = v1::PolicyService::NewStub(channel);
    if (!control.hold_warm_up && !control.fail_load && !control.fail_warm_up) {
      const Status serving = server->WaitUntilServing();
      REQUIRE(serving.ok());
    }
  }

  std::string address() const { return "127.0.0.1:" + std::to_string(server->port()); }

  // A connection of its own, not shared with other channels.
  std::shared_ptr<grpc::Channel> NewChannel() const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(address(), grpc::InsecureChannelCredentials(), arguments);
  }

  grpc::Status Infer(const v1::InferRequest& request, v1::InferResponse* response = nullptr) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    v1::InferResponse ignored;
    return stub->Infer(&context, request, response != nullptr ? response : &ignored);
  }

  // "SERVING", "NOT_SERVING", or the name of the error.
  std::string Health(const std::string& service = "") const {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    context.set_wait_for_ready(true);
    grpc::health::v1::HealthCheckRequest request;
    request.set_service(service);
    grpc::health::v1::HealthCheckResponse response;
    const grpc::Status status =
        grpc::health::v1::Health::NewStub(channel)->Check(&context, request, &response);
    if (status.error_code() == grpc::StatusCode::NOT_FOUND) return "NOT_FOUND";
    if (!status.ok()) return status.error_message();
    return grpc::health::v1::HealthCheckResponse::ServingStatus_Name(response.status());
  }

  v1::GetServerInfoResponse Info() {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    v1::GetServerInfoResponse response;
    const grpc::Status status = stub->GetServerInfo(&context, {}, &response);
    CHECK(status.ok());
    return response;
  }

  // Lets the policy go on.
  void Release() {
    control.hold_infer = false;
    control.hold_warm_up = false;
  }

  ServerOptions options;
  ServerSeams seams;
  FakePolicyControl control;
  std::unique_ptr<Server> server;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::PolicyService::Stub> stub;
};

// An Infer that is on its way, on a connection of its own.
class PendingInfer {
 public:
  PendingInfer(const ServerFixture& fixture, const v1::InferRequest& request,
               std::chrono::milliseconds timeout = std::chrono::seconds(20))
      : stub_(v1::PolicyService::NewStub(fixture.NewChannel())) {
    context_.set_deadline(std::chrono::system_clock::now() + timeout);
    reader_ = stub_->AsyncInfer(&context_, request, &queue_);
    reader_->Finish(&response_, &status_, this);
  }

  void Cancel() { context_.TryCancel(); }

  // Waits for the answer.
  const grpc::Status& Await() {
    void* tag = nullptr;
    bool ok = false;
    if (!done_) queue_.Next(&tag, &ok);
    done_ = true;
    return status_;
  }
  // Whether there is an answer by now.
  bool Done() {
    void* tag = nullptr;
    bool ok = false;
    if (!done_) {
      done_ = queue_.AsyncNext(&tag, &ok, std::chrono::system_clock::now()) ==
              grpc::CompletionQueue::GOT_EVENT;
    }
    return done_;
  }
  const v1::InferResponse& response() const { return response_; }

  ~PendingInfer() {
    Await();
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }

 private:
  std::unique_ptr<v1::PolicyService::Stub> stub_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<v1::InferResponse>> reader_;
  v1::InferResponse response_;
  grpc::Status status_;
  bool done_ = false;
};

// The google.rpc detail of type T, or T() with a failed check if there is none.
template <typename T>
T Detail(const grpc::Status& status) {
  google::rpc::Status details;
  REQUIRE(details.ParseFromString(status.error_details()));
  CHECK(details.code() == static_cast<int>(status.error_code()));
  CHECK(details.message() == status.error_message());
  T detail;
  for (const google::protobuf::Any& any : details.details()) {
    if (any.UnpackTo(&detail)) return detail;
  }
  FAIL_CHECK("no such detail: " << T::descriptor()->full_name());
  return detail;
}

inline std::string Reason(const grpc::Status& status) {
  return Detail<google::rpc::ErrorInfo>(status).reason();
}

}  // namespace vlaserve::testing
