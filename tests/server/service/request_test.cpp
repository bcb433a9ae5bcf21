#include "server/service/request.h"

#include <string>

#include "server/service/info.h"
#include "server/service/text.h"
#include "tests/server/service/support/fake_policy.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

grpc::ByteBuffer Buffer(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return {&slice, 1};
}

Status Parse(const std::string& bytes) {
  v1::InferRequest request;
  grpc::ByteBuffer buffer = Buffer(bytes);
  return ParseInferRequest(buffer, request);
}

TEST_CASE("text that is not UTF-8 is traced to its field, others stay innocent") {
  v1::InferRequest request;
  request.set_session_id("straße");
  request.set_prompt("pick \xed\xa0\x80 up");  // a surrogate
  const Status status = Parse(request.SerializeAsString());
  CHECK(status.code() == StatusCode::kInvalidArgument);
  CHECK(status.field() == "prompt");
}

TEST_CASE("picture data need not be UTF-8") {
  v1::InferRequest request;
  (*request.mutable_images())["image"].set_data("\xff\xfe");
  CHECK(Parse(request.SerializeAsString()).ok());
}

TEST_CASE("fields of newer clients are ignored") {
  // Field 100, length-delimited.
  CHECK(Parse("\xa2\x06\x03"
              "abc")
            .ok());
}

TEST_CASE("cameras that are optional may be left out, others not") {
  PolicySettings settings = testing::FakeSettings();
  settings.cameras[1].optional = true;
  v1::InferRequest request;
  v1::Image& image = (*request.mutable_images())["image"];
  image.set_encoding(v1::Image::ENCODING_RGB8);
  image.set_height(1);
  image.set_width(1);
  image.set_data("rgb");
  CHECK(CheckInferRequest(request, settings).ok());
  settings.cameras[1].optional = false;
  const Status status = CheckInferRequest(request, settings);
  CHECK(status.field() == "images[wrist_image]");
}

TEST_CASE("an unset prompt stays unset and an empty one empty") {
  v1::InferRequest request;
  CHECK_FALSE(DecodeObservation(request)->prompt);
  request.set_prompt("");
  CHECK(DecodeObservation(request)->prompt == "");
}

TEST_CASE("a seed is drawn only when there is neither seed nor noise") {
  int draws = 0;
  const auto draw = [&draws] { return static_cast<uint64_t>(40 + ++draws); };
  v1::InferRequest request;
  CHECK(MakeInferOptions(request, 10, draw).seed == 41);
  request.add_noise(1.0F);
  CHECK_FALSE(MakeInferOptions(request, 10, draw).seed);
  request.set_seed(0);
  CHECK(MakeInferOptions(request, 10, draw).seed == 0);
  CHECK(draws == 1);
}

TEST_CASE("the message limit follows the cameras and has a floor") {
  PolicySettings settings = testing::FakeSettings();
  constexpr int64_t kPicture = 1920 * 1080 * 3;
  CHECK(MaxMessageBytes(settings) == 2 * kPicture + (1 << 20));
  settings.cameras.push_back({"extra", "extra", std::nullopt, true});
  CHECK(MaxMessageBytes(settings) == 3 * kPicture + (1 << 20));
  settings.cameras.resize(1);
  CHECK(MaxMessageBytes(settings) == 8 << 20);
}

TEST_CASE("foreign text is cut at a character boundary and has no control characters") {
  CHECK(Printable("plain") == "plain");
  CHECK(Printable("a\nb\"c\\d\x7f") == "a\\x0ab\\x22c\\x5cd\\x7f");
  CHECK(Printable("äöü", 4) == "äö…");
  CHECK(Printable("äöü", 3) == "ä…");
  CHECK(Printable("äöü", 6) == "äöü");
  CHECK(HasControlCharacters(std::string_view("a\0b", 3)));
  CHECK_FALSE(HasControlCharacters("straße"));
}

}  // namespace
}  // namespace vlaserve
