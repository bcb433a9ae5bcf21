#include "tests/server/golden/served_policy.h"

#include <utility>

#include <spdlog/spdlog.h>

#include "model/archive/archive.h"
#include "model/policy/create_policy.h"
#include "model/policy/runtime.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

void RequireOk(const Status& status) {
  INFO(status.message());
  REQUIRE(status.ok());
}

}  // namespace

ServedPolicy::ServedPolicy(ExportOptions options) {
  spdlog::set_level(spdlog::level::warn);
  RequireOk(InitializeRuntime(0));
  options.out = directory_.File("policy.pt");
  RequireOk(ExportPolicy(PosixFileSystem(), options, [](std::string_view) {}).status());
  auto archive = Archive::Open(PosixFileSystem(), options.out);
  RequireOk(archive.status());

  ServerInfo info;
  info.version = "test";
  info.archive_sha256 = (*archive)->archive_sha256();
  info.settings = (*archive)->settings();
  info.geometry = (*archive)->geometry();
  info.device = "cpu";
  info.compute_dtype = "float32";
  ServerOptions server_options;
  server_options.address = "127.0.0.1:0";
  auto shared = std::make_shared<std::unique_ptr<Archive>>(*std::move(archive));
  auto server = Server::Start(server_options, std::move(info), [shared] {
    return CreatePolicy(std::move(*shared), PolicyOptions{});
  });
  RequireOk(server.status());
  server_ = *std::move(server);
  RequireOk(server_->WaitUntilServing());
  auto client = Client::Create("127.0.0.1:" + std::to_string(server_->port()));
  RequireOk(client.status());
  client_ = *std::move(client);
}

InferReply ServedPolicy::Infer(const InferCallRequest& request) {
  auto reply = client_->Infer(request, std::chrono::seconds(60));
  RequireOk(reply.status());
  if (reply->error) FAIL(reply->error->code << ": " << reply->error->message);
  return *std::move(reply);
}

}  // namespace vlaserve
