#include "server/client/client.h"

#include <chrono>
#include <string>

#include <nlohmann/json.hpp>

#include "tests/server/service/support/picture_files.h"
#include "tests/server/service/support/server_fixture.h"

namespace vlaserve {
namespace {

using testing::ServerFixture;

constexpr std::chrono::seconds kLong{20};
constexpr std::chrono::milliseconds kShort{300};

std::unique_ptr<Client> Connect(const std::string& address) {
  Result<std::unique_ptr<Client>> client = Client::Create(address);
  REQUIRE(client.ok());
  return *std::move(client);
}

InferCallRequest ValidCall() {
  InferCallRequest call;
  call.encoded_images["image"] = {testing::RampPng(5, 9)};
  call.rgb_images["wrist_image"] = {2, 3, testing::RampPixels(18)};
  call.state = {0, 1, 2, 3, 4, 5, 6, 7};
  call.prompt = "pick up the soup";
  call.seed = 0xFFFFFFFFFFFFFFFF;
  call.request_id = "r1";
  call.sequence = 3;
  return call;
}

TEST_CASE("Infer sends every field and returns the chunk") {
  ServerFixture fixture;
  fixture.Start();
  const auto client = Connect(fixture.address());
  InferCallRequest call = ValidCall();
  call.num_steps = 7;
  const Result<InferReply> reply = client->Infer(call, kLong);
  REQUIRE(reply.ok());
  REQUIRE_FALSE(reply->error);
  CHECK(reply->chunk.horizon == 10);
  CHECK(reply->chunk.action_dim == 7);
  CHECK(reply->chunk.actions.at(7 + 2) == 3.0);
  CHECK(reply->chunk.seed == 0xFFFFFFFFFFFFFFFF);
  CHECK(reply->request_id == "r1");
  CHECK(reply->sequence == 3);
  CHECK(reply->total_ms > 0);
  const Observation& seen = fixture.control.observations.at(0);
  CHECK(seen.images.at("image").pixels == testing::RampPixels(5 * 9 * 3));
  CHECK(seen.images.at("wrist_image").height == 2);
  CHECK(seen.images.at("wrist_image").pixels == testing::RampPixels(18));
  CHECK(seen.state == call.state);
  CHECK(seen.prompt == call.prompt);
  CHECK(fixture.control.options.at(0).num_steps == 7);

  call.seed.reset();
  call.noise.assign(320, 0.5F);
  REQUIRE(client->Infer(call, kLong).ok());
  CHECK(fixture.control.options.at(1).noise == call.noise);
}

TEST_CASE("the reply's JSON has the wire contract's names and all its numbers") {
  ServerFixture fixture;
  fixture.Start();
  const Result<InferReply> reply = Connect(fixture.address())->Infer(ValidCall(), kLong);
  REQUIRE(reply.ok());
  const auto json = nlohmann::json::parse(reply->json);
  CHECK(json.at("actions").size() == 70);
  CHECK(json.at("action_dim") == 7);
  CHECK(json.at("seed") == "18446744073709551615");
  CHECK(json.at("prompt_truncated") == false);
  CHECK(json.at("timings").at("prefix_ms") == 2.0);
}

TEST_CASE("a request in JSON is sent as it is, in either spelling of the names") {
  ServerFixture fixture;
  fixture.Start();
  const auto client = Connect(fixture.address());
  const std::string steps = GENERATE(as<std::string>(), "numSteps", "num_steps");
  const std::string image = R"({"encoding":"ENCODING_RGB8","height":1,"width":1,"data":"AAEC"})";
  const std::string json = R"({"images":{"image":)" + image + R"(,"wrist_image":)" + image +
                           R"(},"state":[0,1,2,3,4,5,6,7],"prompt":"go","seed":"5",")" + steps +
                           R"(":9})";
  const Result<InferReply> reply = client->InferJson(json, "request.json", kLong);
  REQUIRE(reply.ok());
  REQUIRE_FALSE(reply->error);
  CHECK(reply->chunk.seed == 5);
  CHECK(fixture.control.options.at(0).num_steps == 9);
  CHECK(fixture.control.observations.at(0).images.at("image").pixels ==
        std::vector<uint8_t>{0, 1, 2});
}

TEST_CASE("JSON that is no InferRequest is an error naming its origin") {
  ServerFixture fixture;
  fixture.Start();
  const std::string json =
      GENERATE(as<std::string>(), "", "{", "[]", R"({"stat":[1]})", R"({"state":["x"]})",
               R"({"num_steps":-1})", R"({"images":{"image":{"encoding":"BMP"}}})");
  CAPTURE(json);
  const Result<InferReply> reply =
      Connect(fixture.address())->InferJson(json, "request.json", kLong);
  REQUIRE_FALSE(reply.ok());
  CHECK(reply.status().code() == StatusCode::kInvalidArgument);
  CHECK_THAT(reply.status().message(), Catch::StartsWith("request.json: "));
  CHECK(fixture.control.infers_started == 0);
}

TEST_CASE("an error of the server comes back with code, words and details") {
  ServerFixture fixture;
  fixture.Start();
  InferCallRequest call = ValidCall();
  call.state.pop_back();
  const Result<InferReply> reply = Connect(fixture.address())->Infer(call, kLong);
  REQUIRE(reply.ok());
  REQUIRE(reply->error);
  CHECK(reply->error->code == "INVALID_ARGUMENT");
  CHECK(reply->error->message == "state: 7 values, expected 8");
  CHECK(reply->error->details == std::vector<std::string>{"state: 7 values, expected 8"});
  CHECK(reply->chunk.actions.empty());
}

TEST_CASE("a server that is not there is UNAVAILABLE") {
  ServerFixture fixture;
  fixture.Start();
  const std::string address = fixture.address();
  fixture.server.reset();
  const Result<InferReply> reply = Connect(address)->Infer(ValidCall(), kLong);
  REQUIRE(reply.ok());
  REQUIRE(reply->error);
  CHECK(reply->error->code == "UNAVAILABLE");
}

TEST_CASE("an inference that takes too long is DEADLINE_EXCEEDED") {
  ServerFixture fixture;
  fixture.Start();
  fixture.control.hold_infer = true;
  const Result<InferReply> reply = Connect(fixture.address())->Infer(ValidCall(), kShort);
  REQUIRE(reply.ok());
  REQUIRE(reply->error);
  CHECK(reply->error->code == "DEADLINE_EXCEEDED");
}

TEST_CASE("files are sent as JPEG or PNG by their first bytes, and the server judges the rest") {
  ServerFixture fixture;
  fixture.Start();
  const auto client = Connect(fixture.address());
  InferCallRequest call = ValidCall();
  testing::JpegSpec spec;
  spec.pixels.assign(size_t{16} * 24 * 3, 9);
  call.encoded_images["image"] = {testing::EncodeJpeg(spec)};
  Result<InferReply> reply = client->Infer(call, kLong);
  REQUIRE(reply.ok());
  CHECK_FALSE(reply->error);
  CHECK(fixture.control.observations.at(0).images.at("image").width == 24);
  call.encoded_images["image"] = {GENERATE(as<std::string>(), "", "GIF89a")};
  reply = client->Infer(call, kLong);
  REQUIRE(reply.ok());
  REQUIRE(reply->error);
  CHECK(reply->error->code == "INVALID_ARGUMENT");
  CHECK_THAT(reply->error->message, Catch::StartsWith("images[image].data: "));
}

TEST_CASE("a camera with two pictures is refused before sending") {
  ServerFixture fixture;
  fixture.Start();
  InferCallRequest call = ValidCall();
  call.rgb_images["image"] = {1, 1, {0, 0, 0}};
  const Result<InferReply> reply = Connect(fixture.address())->Infer(call, kLong);
  REQUIRE_FALSE(reply.ok());
  CHECK(reply.status().field() == "images[image]");
  CHECK(fixture.control.infers_started == 0);
}

TEST_CASE("addresses without a port are refused") {
  const std::string address =
      GENERATE(as<std::string>(), "", "localhost", ":1", "localhost:", "localhost:http");
  const auto client = Client::Create(address);
  REQUIRE_FALSE(client.ok());
  CHECK(client.status().code() == StatusCode::kInvalidArgument);
}

TEST_CASE("the health probe has grpc_health_probe's outcomes") {
  ServerFixture fixture;
  fixture.control.hold_warm_up = true;
  fixture.Start();
  const auto client = Connect(fixture.address());
  CHECK(client->CheckHealth("", kLong).outcome == ProbeOutcome::kNotServing);
  fixture.Release();
  REQUIRE(fixture.server->WaitUntilServing().ok());
  const ProbeResult serving = client->CheckHealth("vlaserve.v1.PolicyService", kLong);
  CHECK(serving.outcome == ProbeOutcome::kServing);
  CHECK(serving.message == fixture.address() + " (vlaserve.v1.PolicyService): SERVING");
  const ProbeResult unknown = client->CheckHealth("no.such.Service", kLong);
  CHECK(unknown.outcome == ProbeOutcome::kRpcFailure);
  CHECK_THAT(unknown.message, Catch::Contains("NOT_FOUND"));
  const std::string address = fixture.address();
  fixture.server.reset();
  CHECK(Connect(address)->CheckHealth("", kShort).outcome == ProbeOutcome::kConnectFailure);
  CHECK(static_cast<int>(ProbeOutcome::kServing) == 0);
  CHECK(static_cast<int>(ProbeOutcome::kUsage) == 1);
  CHECK(static_cast<int>(ProbeOutcome::kConnectFailure) == 2);
  CHECK(static_cast<int>(ProbeOutcome::kRpcFailure) == 3);
  CHECK(static_cast<int>(ProbeOutcome::kNotServing) == 4);
}

}  // namespace
}  // namespace vlaserve
