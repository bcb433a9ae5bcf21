#include "server/cli/exit_code.h"

#include <iostream>

namespace vlaserve {

int ExitCodeFor(const Status& status, ExitContext context) {
  switch (status.code()) {
    case StatusCode::kOk:
      return kExitOk;
    case StatusCode::kInvalidArgument:
    case StatusCode::kFailedPrecondition:
      return kExitUsage;
    case StatusCode::kNotFound:
    case StatusCode::kUnreadable:
    case StatusCode::kUnsupported:
    case StatusCode::kIo:
      return kExitUnreadable;
    case StatusCode::kUnavailable:
      return context == ExitContext::kBind ? kExitBind : kExitFailure;
    case StatusCode::kDevice:
      return kExitDevice;
    case StatusCode::kResourceExhausted:
    case StatusCode::kCancelled:
    case StatusCode::kDeadlineExceeded:
    case StatusCode::kInternal:
      return kExitFailure;
  }
  return kExitFailure;
}

int Fail(std::string_view command, const Status& status, ExitContext context) {
  std::cerr << "vlaserve " << command << ": ";
  if (!status.field().empty()) std::cerr << status.field() << ": ";
  std::cerr << status.message() << std::endl;
  return ExitCodeFor(status, context);
}

}  // namespace vlaserve
