// Every bad field is INVALID_ARGUMENT naming the field, and the server answers the next request.
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <grpcpp/generic/generic_stub.h>

#include "tests/server/service/support/picture_files.h"
#include "tests/server/service/support/server_fixture.h"

namespace vlaserve {
namespace {

using testing::ServerFixture;
using testing::ValidRequest;

struct BadCase {
  std::string name;
  std::function<void(v1::InferRequest&)> spoil;
  std::string field;        // expected in the BadRequest
  std::string description;  // expected part of it
};

v1::Image& Camera(v1::InferRequest& request, const std::string& name = "image") {
  return (*request.mutable_images())[name];
}

void SetFile(v1::InferRequest& request, v1::Image::Encoding encoding, const std::string& data) {
  v1::Image image;
  image.set_encoding(encoding);
  image.set_data(data);
  Camera(request) = image;
}

void SetPng(v1::InferRequest& request, const std::string& data) {
  SetFile(request, v1::Image::ENCODING_PNG, data);
}

std::vector<BadCase> BadCases() {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  return {
      {"no pictures", [](auto& r) { r.clear_images(); }, "images[image]", "missing"},
      {"one camera missing", [](auto& r) { r.mutable_images()->erase("wrist_image"); },
       "images[wrist_image]", "missing"},
      {"unknown camera", [](auto& r) { Camera(r, "front") = Camera(r); }, "images[front]",
       "expected: image, wrist_image"},
      {"camera by the model's name", [](auto& r) { Camera(r, "base_0_rgb") = Camera(r); },
       "images[base_0_rgb]", "no such camera"},
      {"camera with a line break in its name", [](auto& r) { Camera(r, "a\nb") = Camera(r); },
       "images[a\\x0ab]", "no such camera"},
      {"encoding unset", [](auto& r) { Camera(r).clear_encoding(); }, "images[image].encoding",
       "unset"},
      {"encoding unknown",
       [](auto& r) { Camera(r).set_encoding(static_cast<v1::Image::Encoding>(77)); },
       "images[image].encoding", "77"},
      {"RGB8 without size", [](auto& r) { Camera(r).clear_height(); }, "images[image]", "0 rows"},
      {"RGB8 of 0 pixels",
       [](auto& r) {
         Camera(r).set_width(0);
         Camera(r).clear_data();
       },
       "images[image]", "0 columns"},
      {"RGB8 of 20,000 pixels a side",
       [](auto& r) {
         Camera(r).set_height(20000);
         Camera(r).set_width(20000);
       },
       "images[image]", "20000"},
      {"RGB8 of a size that overflows 32 bits",
       [](auto& r) {
         Camera(r).set_height(4294967295U);
         Camera(r).set_width(4294967295U);
         Camera(r).clear_data();
       },
       "images[image]", "4294967295"},
      {"RGB8 with one byte too few", [](auto& r) { Camera(r).mutable_data()->pop_back(); },
       "images[image].data", "191 bytes, expected height * width * 3 = 8 * 8 * 3 = 192"},
      {"RGB8 with one byte too many", [](auto& r) { Camera(r).mutable_data()->push_back('x'); },
       "images[image].data", "193 bytes"},
      {"RGB8 without data", [](auto& r) { Camera(r).clear_data(); }, "images[image].data",
       "0 bytes"},
      {"PNG with height",
       [](auto& r) {
         SetPng(r, testing::RampPng(8, 8));
         Camera(r).set_height(8);
       },
       "images[image].height", "expected unset"},
      {"PNG with width",
       [](auto& r) {
         SetPng(r, testing::RampPng(8, 8));
         Camera(r).set_width(8);
       },
       "images[image].width", "expected unset"},
      {"PNG without data", [](auto& r) { SetPng(r, ""); }, "images[image].data", "empty"},
      {"PNG that is none", [](auto& r) { SetPng(r, "hello"); }, "images[image].data", "not a PNG"},
      {"PNG cut short", [](auto& r) { SetPng(r, testing::RampPng(64, 64).substr(0, 300)); },
       "images[image].data", "not a readable PNG"},
      {"PNG with a flipped bit",
       [](auto& r) {
         std::string png = testing::RampPng(64, 64);
         png[png.size() / 2] = static_cast<char>(png[png.size() / 2] ^ 4);
         SetPng(r, png);
       },
       "images[image].data", "not a readable PNG"},
      {"PNG bomb",
       [](auto& r) { SetPng(r, testing::WithPngSize(testing::RampPng(8, 8), 20000, 20000)); },
       "images[image].data", "20000 rows"},
      {"PNG of 0 columns",
       [](auto& r) { SetPng(r, testing::WithPngSize(testing::RampPng(8, 8), 8, 0)); },
       "images[image].data", "0 columns"},
      {"PNG with transparency",
       [](auto& r) {
         testing::PngSpec spec;
         spec.height = 1;
         spec.width = 1;
         spec.color_type = 6;
         spec.rows = {1, 2, 3, 4};
         SetPng(r, testing::EncodePng(spec));
       },
       "images[image].data", "not opaque"},
      {"PNG of 16 bits",
       [](auto& r) {
         testing::PngSpec spec;
         spec.height = 1;
         spec.width = 1;
         spec.bit_depth = 16;
         spec.rows = {1, 2, 3, 4, 5, 6};
         SetPng(r, testing::EncodePng(spec));
       },
       "images[image].data", "16 bits"},
      {"JPEG called PNG", [](auto& r) { SetPng(r, testing::EncodeJpeg({})); }, "images[image].data",
       "not a PNG"},
      {"PNG called JPEG",
       [](auto& r) { SetFile(r, v1::Image::ENCODING_JPEG, testing::RampPng(8, 8)); },
       "images[image].data", "not a readable JPEG"},
      {"JPEG cut short",
       [](auto& r) {
         const std::string jpeg = testing::EncodeJpeg({});
         SetFile(r, v1::Image::ENCODING_JPEG, jpeg.substr(0, jpeg.size() - 3));
       },
       "images[image].data", "not a readable JPEG"},
      {"JPEG bomb",
       [](auto& r) {
         SetFile(r, v1::Image::ENCODING_JPEG,
                 testing::WithJpegSize(testing::EncodeJpeg({}), 65500, 65500));
       },
       "images[image].data", "65500 rows"},
      {"JPEG in CMYK",
       [](auto& r) {
         testing::JpegSpec spec;
         spec.components = 4;
         SetFile(r, v1::Image::ENCODING_JPEG, testing::EncodeJpeg(spec));
       },
       "images[image].data", "CMYK"},
      {"no state", [](auto& r) { r.clear_state(); }, "state", "expected 8"},
      {"state too long", [](auto& r) { r.add_state(1); }, "state", "expected 8"},
      {"state with NaN", [nan](auto& r) { r.set_state(3, nan); }, "state", "not finite"},
      {"state with infinity", [infinity](auto& r) { r.set_state(3, -infinity); }, "state",
       "not finite"},
      {"empty prompt", [](auto& r) { r.set_prompt(""); }, "prompt", "empty"},
      {"prompt that is not UTF-8", [](auto& r) { r.set_prompt("pick \xff up"); }, "prompt",
       "UTF-8"},
      {"session that is not UTF-8", [](auto& r) { r.set_session_id("\xc3"); }, "session_id",
       "UTF-8"},
      {"camera name that is not UTF-8", [](auto& r) { Camera(r, "\x80") = Camera(r); },
       "images.key", "UTF-8"},
      {"noise of the wrong length", [](auto& r) { r.clear_seed(), r.add_noise(1); }, "noise",
       "10 * 32"},
      {"seed and noise", [](auto& r) { r.mutable_noise()->Resize(320, 0.5F); }, "noise",
       "together"},
      {"0 steps", [](auto& r) { r.set_num_steps(0); }, "num_steps", "1 to 100"},
      {"too many steps", [](auto& r) { r.set_num_steps(4294967295U); }, "num_steps", "1 to 100"},
      {"long session", [](auto& r) { r.set_session_id(std::string(129, 's')); }, "session_id",
       "129 bytes"},
      {"session with a line break", [](auto& r) { r.set_session_id("a\nb"); }, "session_id",
       "control"},
      {"long request id", [](auto& r) { r.set_request_id(std::string(5000, 's')); }, "request_id",
       "5000 bytes"},
      {"request id with a zero byte", [](auto& r) { r.set_request_id(std::string("a\0b", 3)); },
       "request_id", "control"},
  };
}

TEST_CASE("a bad request is INVALID_ARGUMENT naming the field and the next one is answered") {
  ServerFixture fixture;
  fixture.Start();
  for (const BadCase& bad : BadCases()) {
    CAPTURE(bad.name);
    v1::InferRequest request = ValidRequest();
    bad.spoil(request);
    const grpc::Status status = fixture.Infer(request);
    INFO(status.error_message());
    CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
    const auto detail = testing::Detail<google::rpc::BadRequest>(status);
    REQUIRE(detail.field_violations_size() == 1);
    CHECK(detail.field_violations(0).field() == bad.field);
    CHECK_THAT(detail.field_violations(0).description(), Catch::Contains(bad.description));
    CHECK_THAT(status.error_message(), Catch::StartsWith(bad.field));
    const grpc::Status next = fixture.Infer(ValidRequest());
    INFO(next.error_message());
    CHECK(next.ok());
  }
  CHECK(fixture.control.infers_started == static_cast<int>(BadCases().size()));
}

// Sends bytes that no generated code would.
grpc::Status SendRaw(ServerFixture& fixture, const std::string& bytes) {
  grpc::GenericStub stub(fixture.channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  grpc::CompletionQueue queue;
  const grpc::Slice slice(bytes);
  const grpc::ByteBuffer request(&slice, 1);
  auto call = stub.PrepareUnaryCall(&context, "/vlaserve.v1.PolicyService/Infer", request, &queue);
  call->StartCall();
  grpc::ByteBuffer response;
  grpc::Status status;
  void* tag = nullptr;
  bool ok = false;
  call->Finish(&response, &status, &status);
  queue.Next(&tag, &ok);
  return status;
}

TEST_CASE("bytes that are no message are INVALID_ARGUMENT") {
  ServerFixture fixture;
  fixture.Start();
  const std::string valid = ValidRequest().SerializeAsString();
  const std::string bytes =
      GENERATE_COPY(std::string("\xff\xff\xff\xff", 4), std::string(100, '\x07'),
                    valid.substr(0, valid.size() - 1));
  const grpc::Status status = SendRaw(fixture, bytes);
  CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK_THAT(status.error_message(), Catch::Contains("not a serialized vlaserve.v1.InferRequest"));
  CHECK(fixture.Infer(ValidRequest()).ok());
}

TEST_CASE("an empty message is INVALID_ARGUMENT") {
  ServerFixture fixture;
  fixture.Start();
  CHECK(SendRaw(fixture, "").error_code() == grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_CASE("a message above the limit is refused by its size and the server lives on") {
  ServerFixture fixture;
  fixture.Start();
  v1::InferRequest request = ValidRequest();
  Camera(request).set_data(
      std::string(static_cast<size_t>(fixture.server->max_message_bytes()), 'x'));
  const grpc::Status status = fixture.Infer(request);
  CHECK(status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK_THAT(status.error_message(), Catch::Contains("larger than max"));
  CHECK(fixture.Infer(ValidRequest()).ok());
}

TEST_CASE("a Full HD picture of every camera fits into a message") {
  ServerFixture fixture;
  fixture.Start();
  v1::InferRequest request = ValidRequest();
  for (auto& [name, image] : *request.mutable_images()) {
    image.set_height(1080);
    image.set_width(1920);
    image.set_data(std::string(1080 * 1920 * 3, '\1'));
  }
  const grpc::Status status = fixture.Infer(request);
  INFO(status.error_message());
  CHECK(status.ok());
}

}  // namespace
}  // namespace vlaserve
