#include "server/service/policy_service.h"

#include "server/service/info.h"

namespace vlaserve {

PolicyServiceImpl::PolicyServiceImpl(CallContext& context, const ServerOptions& options)
    : context_(context), options_(options) {}

grpc::ServerUnaryReactor* PolicyServiceImpl::Infer(grpc::CallbackServerContext* rpc,
                                                   const grpc::ByteBuffer* request,
                                                   grpc::ByteBuffer* response) {
  auto* call = new InferCall(context_, *rpc, *response);  // deletes itself in OnDone
  call->Begin(*request);
  return call;
}

grpc::ServerUnaryReactor* PolicyServiceImpl::GetServerInfo(
    grpc::CallbackServerContext* rpc, const v1::GetServerInfoRequest* /*request*/,
    v1::GetServerInfoResponse* response) {
  *response = MakeServerInfo(context_.info, options_, context_.scheduler.state());
  grpc::ServerUnaryReactor* reactor = rpc->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

}  // namespace vlaserve
