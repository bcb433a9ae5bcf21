// One Infer RPC from arrival to answer.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include <grpcpp/grpcpp.h>

#include "server/service/clock.h"
#include "server/service/job.h"
#include "server/service/scheduler.h"
#include "server/service/server.h"
#include "vlaserve/v1/policy.pb.h"

namespace vlaserve {

// What all calls share; outlives them.
struct CallContext {
  const ServerInfo& info;
  const Clock& clock;
  const std::function<uint64_t()>& draw_seed;
  Scheduler& scheduler;
  std::atomic<uint64_t> calls = 0;  // numbers the calls, for requests without a request_id
};

// Begin runs on a gRPC thread and does no more than parse and check; decoding and inference run on
// the worker (Run). Whoever calls Finish is done with the object: gRPC deletes it in OnDone. Every
// call ends with one log line, which holds no picture, no state and no prompt.
class InferCall final : public grpc::ServerUnaryReactor, public Job {
 public:
  // `response` belongs to gRPC and lives until OnDone.
  InferCall(CallContext& context, const grpc::CallbackServerContext& rpc,
            grpc::ByteBuffer& response);

  // Parses `request`, then submits or answers. The object may be gone afterwards as far as the
  // caller is concerned, except that gRPC is to be given the reactor.
  void Begin(const grpc::ByteBuffer& request);

  const std::string& session_id() const override { return request_.session_id(); }
  uint64_t sequence() const override { return request_.sequence(); }
  TimePoint deadline() const override { return deadline_; }
  bool IsCancelled() const override { return cancelled_; }
  bool Run(Policy& policy, const InterruptCheck& interrupt) override;
  void Refuse(const Refusal& refusal) override;

  void OnCancel() override { cancelled_ = true; }
  void OnDone() override;

 private:
  // The whole work of a request, on the worker.
  Result<v1::InferResponse> Infer(Policy& policy, const InterruptCheck& interrupt);
  // Logs and answers. `reason` is for the log.
  void Answer(const grpc::Status& status, const std::string& reason);

  CallContext& context_;
  grpc::ByteBuffer& response_;
  const TimePoint arrival_;
  TimePoint deadline_;
  TimePoint start_;  // of the work; the arrival until then
  v1::InferRequest request_;
  std::string request_id_;
  size_t request_bytes_ = 0;
  // Set in OnCancel: CallbackServerContext::IsCancelled must not be asked by other threads before
  // gRPC has taken over the reactor.
  std::atomic<bool> cancelled_ = false;
  // Orders the last access of the answering thread before the deletion in gRPC's.
  std::atomic<bool> answered_ = false;
};

}  // namespace vlaserve
