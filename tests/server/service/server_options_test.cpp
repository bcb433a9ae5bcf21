// What ServerOptions and ServerInfo change from the outside.
#include <functional>
#include <string>
#include <vector>

#include "server/service/server.h"
#include "tests/server/service/support/reflection.h"
#include "tests/server/service/support/server_fixture.h"

namespace vlaserve {
namespace {

using testing::ServerFixture;
using testing::ValidRequest;

TEST_CASE("GetServerInfo describes the policy and the limits") {
  ServerFixture fixture;
  fixture.options.queue_capacity = 17;
  fixture.Start();
  const v1::GetServerInfoResponse info = fixture.Info();
  CHECK(info.version() == "1.2.3");
  const v1::PolicyInfo& policy = info.policy();
  CHECK(policy.name() == "fake");
  CHECK(policy.type() == "pi0");
  CHECK(policy.archive_sha256() == "abc123");
  REQUIRE(policy.cameras_size() == 2);  // the slot without a name cannot be sent
  CHECK(policy.cameras(1).name() == "wrist_image");
  CHECK(policy.cameras(1).slot() == "left_wrist_0_rgb");
  CHECK(policy.cameras(1).observation_key() == "observation/wrist_image");
  CHECK(policy.state_dim() == 8);
  CHECK(policy.horizon() == 10);
  CHECK(policy.action_dim() == 7);
  CHECK(policy.model_action_dim() == 32);
  CHECK(policy.num_steps() == 4);
  CHECK(policy.image_size() == 224);
  CHECK(policy.prompt_slots() == 48);
  CHECK_FALSE(policy.has_default_prompt());
  CHECK(policy.delta_action_mask_size() == 7);
  CHECK(policy.client_json() == R"({"replan_steps":5})");
  CHECK(info.runtime().device() == "cpu");
  CHECK(info.runtime().compute_dtype() == "float32");
  CHECK(info.runtime().threads() == 2);
  CHECK(info.limits().queue_capacity() == 17);
  CHECK(info.limits().max_image_side() == 4096);
  CHECK(info.limits().max_message_bytes() == 2 * 1920 * 1080 * 3 + 1048576);
}

TEST_CASE("a port in use is kUnavailable: two servers never share one") {
  ServerFixture fixture;
  fixture.Start();
  ServerOptions second;
  second.address = fixture.address();
  testing::FakePolicyControl control;
  const auto other = Server::Start(second, testing::FakeInfo(), testing::FakeFactory(control));
  REQUIRE_FALSE(other.ok());
  CHECK(other.status().code() == StatusCode::kUnavailable);
  CHECK_THAT(other.status().message(), Catch::Contains("Address already in use"));
  CHECK_THAT(other.status().message(), Catch::Contains(second.address));
}

TEST_CASE("addresses that other machines can reach need insecure") {
  const std::string address = GENERATE(as<std::string>(), "0.0.0.0:0", "[::]:0");
  ServerFixture fixture;
  fixture.options.address = address;
  const auto refused =
      Server::Start(fixture.options, testing::FakeInfo(), testing::FakeFactory(fixture.control));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.status().code() == StatusCode::kFailedPrecondition);
  CHECK(refused.status().field() == "server.address");
}

TEST_CASE("malformed addresses and options are named") {
  struct Case {
    std::string field;
    std::function<void(ServerOptions&)> spoil;
  };
  const std::vector<Case> cases = {
      {"server.address", [](auto& o) { o.address = ""; }},
      {"server.address", [](auto& o) { o.address = "127.0.0.1"; }},
      {"server.address", [](auto& o) { o.address = ":50051"; }},
      {"server.address", [](auto& o) { o.address = "127.0.0.1:"; }},
      {"server.address", [](auto& o) { o.address = "127.0.0.1:http"; }},
      {"server.address", [](auto& o) { o.address = "127.0.0.1:65536"; }},
      {"server.address", [](auto& o) { o.address = "127.0.0.1:-1"; }},
      {"server.address", [](auto& o) { o.address = "::1:50051"; }},
      {"server.address", [](auto& o) { o.address = "[]:50051"; }},
      {"server.address", [](auto& o) { o.address = "no such host:50051"; }},
      {"server.queue_capacity", [](auto& o) { o.queue_capacity = 0; }},
      {"server.queue_capacity", [](auto& o) { o.queue_capacity = 4097; }},
      {"server.drain_seconds", [](auto& o) { o.drain_ms = -1; }},
      {"server.drain_seconds", [](auto& o) { o.drain_ms = 600'001; }},
      {"handshake_ms", [](auto& o) { o.handshake_ms = 0; }},
  };
  for (const Case& c : cases) {
    ServerFixture fixture;
    c.spoil(fixture.options);
    CAPTURE(fixture.options.address, fixture.options.queue_capacity);
    const auto server =
        Server::Start(fixture.options, testing::FakeInfo(), testing::FakeFactory(fixture.control));
    REQUIRE_FALSE(server.ok());
    CHECK(server.status().code() == StatusCode::kInvalidArgument);
    CHECK(server.status().field() == c.field);
  }
}

TEST_CASE("localhost listens on every address it stands for") {
  ServerFixture fixture;
  fixture.options.address = "localhost:0";
  fixture.Start();
  CHECK(fixture.server->port() > 0);
  CHECK(fixture.Infer(ValidRequest()).ok());  // over 127.0.0.1
}

TEST_CASE("reflection lists the services, unless it is switched off") {
  ServerFixture fixture;
  fixture.options.reflection = GENERATE(true, false);
  fixture.Start();
  testing::ReflectionStream stream(fixture.channel);
  const std::string services = stream.ListServices();
  if (fixture.options.reflection) {
    CHECK_THAT(services, Catch::Contains("vlaserve.v1.PolicyService"));
    CHECK_THAT(services, Catch::Contains("grpc.health.v1.Health"));
  } else {
    CHECK(services.empty());
    CHECK(stream.Finish().error_code() == grpc::StatusCode::UNIMPLEMENTED);
  }
  CHECK(fixture.Infer(ValidRequest()).ok());
}

}  // namespace
}  // namespace vlaserve
