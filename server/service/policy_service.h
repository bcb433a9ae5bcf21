// vlaserve.v1.PolicyService on gRPC's callback API.
#pragma once

#include "server/service/infer_call.h"
#include "server/service/server.h"
#include "vlaserve/v1/policy.grpc.pb.h"

namespace vlaserve {

// Infer is a raw method: we parse the message ourselves (see ParseInferRequest). The handlers never
// block. Thread-safe; the constructor's arguments must outlive the service.
class PolicyServiceImpl final
    : public v1::PolicyService::WithRawCallbackMethod_Infer<
          v1::PolicyService::WithCallbackMethod_GetServerInfo<v1::PolicyService::Service>> {
 public:
  PolicyServiceImpl(CallContext& context, const ServerOptions& options);

  grpc::ServerUnaryReactor* Infer(grpc::CallbackServerContext* rpc, const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GetServerInfo(grpc::CallbackServerContext* rpc,
                                          const v1::GetServerInfoRequest* request,
                                          v1::GetServerInfoResponse* response) override;

 private:
  CallContext& context_;
  const ServerOptions& options_;
};

}  // namespace vlaserve
