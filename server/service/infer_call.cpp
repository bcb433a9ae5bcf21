#include "server/service/infer_call.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include <spdlog/spdlog.h>

#include "server/service/exceptions.h"
#include "server/service/request.h"
#include "server/service/rpc_code.h"
#include "server/service/rpc_status.h"
#include "server/service/text.h"
#include "vlaserve/v1/policy.grpc.pb.h"  // brings gRPC's serialization of messages

namespace vlaserve {
namespace {

// gRPC's deadlines are system times; the service reckons with a monotonic clock.
TimePoint DeadlineOf(const grpc::CallbackServerContext& rpc, TimePoint now) {
  const auto deadline = rpc.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) return TimePoint::max();
  const auto left =
      std::chrono::duration_cast<TimePoint::duration>(deadline - std::chrono::system_clock::now());
  return left < TimePoint::max() - now ? now + left : TimePoint::max();
}

// The last line of defence: whatever the policy is, no bad action leaves the server.
Status CheckChunk(const ActionChunk& chunk) {
  const auto expected =
      static_cast<uint64_t>(chunk.horizon) * static_cast<uint64_t>(chunk.action_dim);
  if (chunk.actions.empty() || chunk.actions.size() != expected) {
    return {StatusCode::kInternal, "the policy returned " + std::to_string(chunk.actions.size()) +
                                       " actions for " + std::to_string(chunk.horizon) + " x " +
                                       std::to_string(chunk.action_dim)};
  }
  const auto bad = std::find_if(chunk.actions.begin(), chunk.actions.end(),
                                [](double action) { return !std::isfinite(action); });
  if (bad != chunk.actions.end()) {
    return {StatusCode::kInternal, "the policy returned an action that is not finite, at " +
                                       std::to_string(bad - chunk.actions.begin())};
  }
  return Status::Ok();
}

}  // namespace

InferCall::InferCall(CallContext& context, const grpc::CallbackServerContext& rpc,
                     grpc::ByteBuffer& response)
    : context_(context),
      response_(response),
      arrival_(context.clock.Now()),
      deadline_(DeadlineOf(rpc, arrival_)),
      start_(arrival_) {}

void InferCall::Begin(const grpc::ByteBuffer& request) {
  request_bytes_ = request.Length();
  request_id_.append("#").append(std::to_string(++context_.calls));
  grpc::ByteBuffer bytes = request;
  Status status = ParseInferRequest(bytes, request_);
  if (!request_.request_id().empty()) request_id_ = request_.request_id();
  if (status.ok()) status = CheckInferRequest(request_, context_.info.settings);
  if (!status.ok()) {
    const grpc::Status answer = ToRpcStatus(status, request_id_);
    Answer(answer, answer.error_message());
    return;
  }
  context_.scheduler.Submit(*this);
}

bool InferCall::Run(Policy& policy, const InterruptCheck& interrupt) {
  start_ = context_.clock.Now();
  const Result<v1::InferResponse> response =
      CatchExceptions("inference", [&] { return Infer(policy, interrupt); });
  const bool whole = response.ok();
  if (response.ok()) {
    bool own_buffer = false;
    const grpc::Status serialized =
        grpc::SerializationTraits<v1::InferResponse>::Serialize(*response, &response_, &own_buffer);
    Answer(serialized, serialized.error_message());
  } else {
    const Status status = response.status();
    Answer(ToRpcStatus(status, request_id_),
           status.field().empty() ? status.message() : status.field() + ": " + status.message());
  }
  return whole;
}

void InferCall::Refuse(const Refusal& refusal) { Answer(ToRpcStatus(refusal), ""); }

Result<v1::InferResponse> InferCall::Infer(Policy& policy, const InterruptCheck& interrupt) {
  VLASERVE_ASSIGN_OR_RETURN(const Observation observation, DecodeObservation(request_));
  const double decode_ms = Milliseconds(context_.clock.Now() - start_);
  VLASERVE_RETURN_IF_ERROR(interrupt());
  const InferOptions options =
      MakeInferOptions(request_, context_.info.settings.num_steps, context_.draw_seed);
  VLASERVE_ASSIGN_OR_RETURN(const ActionChunk chunk, policy.Infer(observation, options, interrupt));
  VLASERVE_RETURN_IF_ERROR(CheckChunk(chunk));

  v1::InferResponse response;
  response.mutable_actions()->Add(chunk.actions.begin(), chunk.actions.end());
  response.set_horizon(static_cast<uint32_t>(chunk.horizon));
  response.set_action_dim(static_cast<uint32_t>(chunk.action_dim));
  response.set_seed(chunk.seed);
  response.set_request_id(request_id_);
  response.set_sequence(request_.sequence());
  response.set_prompt_truncated(chunk.prompt_truncated);
  v1::Timings& timings = *response.mutable_timings();
  timings.set_queue_ms(Milliseconds(start_ - arrival_));
  timings.set_preprocess_ms(decode_ms + chunk.timings.preprocess_ms);
  timings.set_prefix_ms(chunk.timings.prefix_ms);
  timings.set_denoise_ms(chunk.timings.denoise_ms);
  timings.set_postprocess_ms(chunk.timings.postprocess_ms);
  timings.set_total_ms(Milliseconds(context_.clock.Now() - arrival_));
  return response;
}

void InferCall::Answer(const grpc::Status& status, const std::string& reason) {
  const TimePoint now = context_.clock.Now();
  const TimePoint work_start = start_ == arrival_ ? now : start_;  // never started: it only waited
  const auto level = status.error_code() == grpc::StatusCode::INTERNAL ? spdlog::level::err
                     : status.ok()                                     ? spdlog::level::info
                                                                       : spdlog::level::warn;
  spdlog::log(level,
              "infer request_id=\"{}\" session=\"{}\" sequence={} code={} queue_ms={:.2f} "
              "total_ms={:.2f} bytes={} prompt_bytes={}{}",
              Printable(request_id_, kMaxIdBytes), Printable(request_.session_id(), kMaxIdBytes),
              request_.sequence(), RpcCodeName(status.error_code()),
              Milliseconds(work_start - arrival_), Milliseconds(now - arrival_), request_bytes_,
              request_.prompt().size(),
              reason.empty() ? "" : " reason=\"" + Printable(reason, 512) + "\"");
  answered_.store(true, std::memory_order_release);
  Finish(status);
}

void InferCall::OnDone() {
  // Always true; reading it is what makes the deletion come after the answer in every thread.
  if (answered_.load(std::memory_order_acquire)) delete this;
}

}  // namespace vlaserve
