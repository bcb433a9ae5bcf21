#include "model/archive/torch_errors.h"

#include <c10/util/Exception.h>

namespace vlaserve {
namespace {
constexpr size_t kMaxMessage = 1000;
}

Status TorchFailure(const std::exception& error, std::string_view where) {
  std::string message = error.what();
  if (const auto* torch_error = dynamic_cast<const c10::Error*>(&error)) {
    message = torch_error->what_without_backtrace();
  }
  while (!message.empty() && message.back() == '\n') message.pop_back();
  if (message.size() > kMaxMessage) message = message.substr(0, kMaxMessage) + "…";
  return {StatusCode::kUnreadable, std::string(where) + ": LibTorch refuses it: " + message};
}

}  // namespace vlaserve
