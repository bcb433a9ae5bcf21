// What a request is answered with.
#include "server/service/server.h"

#include <set>
#include <string>
#include <vector>

#include "tests/server/service/support/picture_files.h"
#include "tests/server/service/support/server_fixture.h"

namespace vlaserve {
namespace {

using testing::ServerFixture;
using testing::ValidRequest;

TEST_CASE("a request is answered with the policy's chunk") {
  ServerFixture fixture;
  fixture.Start();
  v1::InferRequest request = ValidRequest();
  request.set_request_id("r1");
  request.set_session_id("robot");
  request.set_sequence(5);
  request.set_num_steps(3);
  v1::InferResponse response;
  REQUIRE(fixture.Infer(request, &response).ok());
  CHECK(response.horizon() == 10);
  CHECK(response.action_dim() == 7);
  REQUIRE(response.actions_size() == 70);
  CHECK(response.actions(0) == 0.0);
  CHECK(response.actions(1) == 0.5);
  CHECK(response.actions(7 * 9 + 6) == 12.0);
  CHECK(response.seed() == 11);
  CHECK(response.request_id() == "r1");
  CHECK(response.sequence() == 5);
  const v1::Timings& timings = response.timings();
  CHECK(timings.preprocess_ms() >= 1);
  CHECK(timings.prefix_ms() == 2);
  CHECK(timings.denoise_ms() == 3);
  CHECK(timings.postprocess_ms() == 4);
  CHECK(timings.queue_ms() >= 0);
  CHECK(timings.total_ms() > 0);
  CHECK(fixture.control.options.at(0).num_steps == 3);
  CHECK(fixture.control.prompts.at(0) == "pick up the soup");
  CHECK_FALSE(fixture.control.wrong_thread);
}

TEST_CASE("raw, PNG and JPEG pictures reach the policy as the same kind of pixels") {
  ServerFixture fixture;
  fixture.Start();
  v1::InferRequest request = ValidRequest();
  v1::Image& png = (*request.mutable_images())["image"];
  png.Clear();
  png.set_encoding(v1::Image::ENCODING_PNG);
  png.set_data(testing::RampPng(5, 9));
  v1::Image& jpeg = (*request.mutable_images())["wrist_image"];
  testing::JpegSpec spec;
  spec.pixels.assign(size_t{16} * 24 * 3, 9);
  jpeg.Clear();
  jpeg.set_encoding(v1::Image::ENCODING_JPEG);
  jpeg.set_data(testing::EncodeJpeg(spec));
  REQUIRE(fixture.Infer(request).ok());
  const auto& images = fixture.control.observations.at(0).images;
  CHECK(images.at("image").height == 5);
  CHECK(images.at("image").width == 9);
  CHECK(images.at("image").pixels == testing::RampPixels(size_t{5} * 9 * 3));
  CHECK(images.at("wrist_image").pixels == std::vector<uint8_t>(size_t{16} * 24 * 3, 9));
}

TEST_CASE("a seed is drawn and reported when a request brings neither seed nor noise") {
  ServerFixture fixture;
  fixture.seams.draw_seed = [] { return uint64_t{0xFEDCBA9876543210}; };
  fixture.Start();
  v1::InferRequest request = ValidRequest();
  request.clear_seed();
  v1::InferResponse response;
  REQUIRE(fixture.Infer(request, &response).ok());
  CHECK(response.seed() == 0xFEDCBA9876543210);
  CHECK(fixture.control.options.at(0).num_steps == 4);  // the settings' default

  request.mutable_noise()->Resize(320, 0.25F);
  REQUIRE(fixture.Infer(request, &response).ok());
  CHECK(response.seed() == 0);
  CHECK_FALSE(fixture.control.options.at(1).seed);
  CHECK(fixture.control.options.at(1).noise == std::vector<float>(320, 0.25F));

  request.clear_noise();
  request.set_seed(0);
  REQUIRE(fixture.Infer(request, &response).ok());
  CHECK(response.seed() == 0);
  CHECK(fixture.control.options.at(2).seed == 0);
}

TEST_CASE("seeds drawn by the operating system differ") {
  ServerFixture fixture;
  fixture.Start();
  v1::InferRequest request = ValidRequest();
  request.clear_seed();
  std::set<uint64_t> seeds;
  for (int i = 0; i < 4; ++i) {
    v1::InferResponse response;
    REQUIRE(fixture.Infer(request, &response).ok());
    seeds.insert(response.seed());
  }
  CHECK(seeds.size() == 4);
}

TEST_CASE("requests without a request_id get one") {
  ServerFixture fixture;
  fixture.Start();
  v1::InferResponse first;
  v1::InferResponse second;
  REQUIRE(fixture.Infer(ValidRequest(), &first).ok());
  REQUIRE(fixture.Infer(ValidRequest(), &second).ok());
  CHECK_FALSE(first.request_id().empty());
  CHECK(first.request_id() != second.request_id());
}

TEST_CASE("actions that are not finite or not a chunk are INTERNAL without payload") {
  ServerFixture fixture;
  fixture.Start();
  const int fault = GENERATE(0, 1, 2);
  fixture.control.return_nan = fault == 0;
  fixture.control.return_too_few = fault == 1;
  fixture.control.return_internal = fault == 2;
  v1::InferRequest request = ValidRequest();
  request.set_request_id("the-one");
  v1::InferResponse response;
  const grpc::Status status = fixture.Infer(request, &response);
  CHECK(status.error_code() == grpc::StatusCode::INTERNAL);
  CHECK(response.actions_size() == 0);
  // The client gets the id, the log gets the reason.
  CHECK_THAT(status.error_message(), Catch::Contains("the-one"));
  CHECK_THAT(status.error_message(), !Catch::Contains("secret"));
  fixture.control.return_nan = fixture.control.return_too_few = false;
  fixture.control.return_internal = false;
  CHECK(fixture.Infer(ValidRequest()).ok());
}

TEST_CASE("memory that runs out in an inference costs that request only") {
  ServerFixture fixture;
  fixture.Start();
  fixture.control.throw_in_infer = true;
  CHECK(fixture.Infer(ValidRequest()).error_code() == grpc::StatusCode::INTERNAL);
  fixture.control.throw_in_infer = false;
  CHECK(fixture.Infer(ValidRequest()).ok());
  CHECK(fixture.Health() == "SERVING");
}

}  // namespace
}  // namespace vlaserve
