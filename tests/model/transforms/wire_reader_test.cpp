#include "model/transforms/wire_reader.h"

#include <string>

#include "tests/model/transforms/sentencepiece_bytes.h"
#include "tests/support/catch.h"
#include "tests/support/matchers.h"

namespace vlaserve {
namespace {

Status ReadAll(const std::string& message) {
  WireReader reader(message, 100);
  for (;;) {
    VLASERVE_ASSIGN_OR_RETURN(const auto field, reader.Next());
    if (!field) return Status::Ok();
  }
}

TEST_CASE("fields are read with number, type, value and place", "[wire_reader]") {
  const std::string message = VarintField(3, 300) + BytesField(2000, "abc") + FloatField(4, 1.0f) +
                              std::string("\x29\1\0\0\0\0\0\0\x80", 9);
  WireReader reader(message, 100);
  const auto varint = reader.Next();
  REQUIRE((varint.ok() && varint->has_value()));
  CHECK((*varint)->number == 3);
  CHECK((*varint)->type == WireType::kVarint);
  CHECK((*varint)->value == 300);
  CHECK((*varint)->offset == 100);
  const auto bytes = reader.Next();
  REQUIRE((bytes.ok() && bytes->has_value()));
  CHECK((*bytes)->number == 2000);
  CHECK((*bytes)->bytes == "abc");
  CHECK((*bytes)->offset == 103);
  CHECK(reader.ContentOffset(**bytes) == 106);
  const auto fixed32 = reader.Next();
  REQUIRE((fixed32.ok() && fixed32->has_value()));
  CHECK((*fixed32)->type == WireType::kFixed32);
  CHECK((*fixed32)->value == 0x3F800000);
  const auto fixed64 = reader.Next();
  REQUIRE((fixed64.ok() && fixed64->has_value()));
  CHECK((*fixed64)->type == WireType::kFixed64);
  CHECK((*fixed64)->value == 0x8000000000000001);
  const auto end = reader.Next();
  REQUIRE(end.ok());
  CHECK(!end->has_value());
}

TEST_CASE("damaged messages are errors that name the byte", "[wire_reader]") {
  const auto refuse = [](const std::string& message, const std::string& expected) {
    const Status status = ReadAll(message);
    CHECK(status.code() == StatusCode::kUnreadable);
    CHECK_THAT(status.message(), ContainsText(expected));
  };
  const std::string good = VarintField(1, 1);
  REQUIRE(ReadAll(good).ok());
  refuse(good + "\x80", "byte 102: varint is cut off");
  refuse(good + std::string(11, '\x80'), "byte 102: varint has more than 10 bytes");
  refuse(good + std::string("\0", 1), "byte 102: field number 0");
  refuse(good + "\x0a\x05xyz", "byte 102: field 1 claims 5 bytes, 3 are left");
  refuse(good + "\x0d\x01\x02", "byte 103: fixed-size value is cut off");
  refuse(good + "\x0b", "byte 102: wire type 3");
}

TEST_CASE("a field of the wrong wire type is named", "[wire_reader]") {
  const std::string message = VarintField(1, 1);
  WireReader reader(message, 0);
  const auto field = reader.Next();
  REQUIRE((field.ok() && field->has_value()));
  CHECK(ExpectWireType(**field, WireType::kVarint, "pieces").ok());
  const Status status = ExpectWireType(**field, WireType::kBytes, "pieces");
  CHECK(status.message() == "byte 0: pieces has wire type 0, expected 2");
}

}  // namespace
}  // namespace vlaserve
