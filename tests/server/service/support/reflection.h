// A client of grpc.reflection.v1alpha without its messages.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

namespace vlaserve::testing {

// One open ServerReflectionInfo stream.
class ReflectionStream {
 public:
  explicit ReflectionStream(const std::shared_ptr<grpc::Channel>& channel) : stub_(channel) {
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    call_ = stub_.PrepareCall(
        &context_, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue_);
    call_->StartCall(this);
    Next();
  }

  // Asks for the list of services; the serialized answer, or empty if there was none.
  std::string ListServices() {
    // ServerReflectionRequest { list_services = 7: "*" }
    const grpc::Slice slice(std::string("\x3a\x01*"));
    call_->Write(grpc::ByteBuffer(&slice, 1), this);
    Next();
    grpc::ByteBuffer answer;
    call_->Read(&answer, this);
    grpc::Slice out;
    ended_ = !Next();
    if (ended_ || !answer.DumpToSingleSlice(&out).ok()) return "";
    return {reinterpret_cast<const char*>(out.begin()), out.size()};
  }

  // Ends the stream unless the server has; how it went.
  grpc::Status Finish() {
    if (!ended_) context_.TryCancel();
    grpc::Status status;
    call_->Finish(&status, this);
    Next();
    finished_ = true;
    return status;
  }

  ~ReflectionStream() {
    if (!finished_) Finish();
    queue_.Shutdown();
    while (Next()) {
    }
  }

 private:
  bool Next() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }

  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  bool ended_ = false;  // by the server
  bool finished_ = false;
};

}  // namespace vlaserve::testing
