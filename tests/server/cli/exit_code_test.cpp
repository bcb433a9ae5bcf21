// Exit codes that scripts rely on.
#include "server/cli/exit_code.h"

#include "tests/support/catch.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)

TEST_CASE("every kind of failure has its exit code") {
  const auto code = [](StatusCode failure, ExitContext context = ExitContext::kGeneral) {
    return ExitCodeFor(Status(failure, "message"), context);
  };
  CHECK(ExitCodeFor(Status::Ok()) == 0);
  CHECK(code(StatusCode::kInvalidArgument) == 2);
  CHECK(code(StatusCode::kFailedPrecondition) == 2);
  CHECK(code(StatusCode::kNotFound) == 3);
  CHECK(code(StatusCode::kUnreadable) == 3);
  CHECK(code(StatusCode::kUnsupported) == 3);
  CHECK(code(StatusCode::kIo) == 3);
  CHECK(code(StatusCode::kUnavailable) == 1);
  CHECK(code(StatusCode::kUnavailable, ExitContext::kBind) == 4);
  CHECK(code(StatusCode::kInvalidArgument, ExitContext::kBind) == 2);
  CHECK(code(StatusCode::kDevice) == 5);
  CHECK(code(StatusCode::kInternal) == 1);
  CHECK(code(StatusCode::kCancelled) == 1);
  CHECK(code(StatusCode::kDeadlineExceeded) == 1);
  CHECK(code(StatusCode::kResourceExhausted) == 1);
}
