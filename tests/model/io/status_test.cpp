#include "model/io/status.h"

#include <memory>
#include <string>

#include "tests/support/catch.h"

namespace vlaserve {
namespace {

Result<int> Half(int value) {
  if (value % 2 != 0) return Status(StatusCode::kInvalidArgument, "value", "odd");
  return value / 2;
}

Result<int> Quarter(int value) {
  VLASERVE_ASSIGN_OR_RETURN(const int half, Half(value));
  VLASERVE_ASSIGN_OR_RETURN(const int quarter, Half(half));
  return quarter;
}

Status CheckQuarter(int value) {
  VLASERVE_RETURN_IF_ERROR(Quarter(value).status());
  return Status::Ok();
}

TEST_CASE("Status: context goes in front and keeps code and field") {
  const Status status = Status(StatusCode::kIo, "runtime.threads", "bad").WithContext("a.json");
  CHECK(status.code() == StatusCode::kIo);
  CHECK(status.field() == "runtime.threads");
  CHECK(status.message() == "a.json: bad");
  CHECK(Status::Ok().WithContext("a.json").ok());
}

TEST_CASE("Result: the macros hand on values and the first failure") {
  CHECK(*Quarter(12) == 3);
  CHECK(CheckQuarter(12).ok());
  CHECK(Quarter(6).status().message() == "odd");
  CHECK(CheckQuarter(6).field() == "value");
}

TEST_CASE("Result: carries move-only values") {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(7);
  REQUIRE(result.ok());
  const std::unique_ptr<int> value = std::move(result).value();
  CHECK(*value == 7);
}

TEST_CASE("StatusCodeName: distinct names") {
  CHECK(StatusCodeName(StatusCode::kOk) == "ok");
  CHECK(StatusCodeName(StatusCode::kUnreadable) == "unreadable");
  CHECK(StatusCodeName(StatusCode::kInternal) == "internal");
}

}  // namespace
}  // namespace vlaserve
