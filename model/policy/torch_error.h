// The boundary at which LibTorch's exceptions become values.
#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include <c10/util/Exception.h>

#include "model/io/status.h"

namespace vlaserve {

// The line of LibTorch's message that says what happened; around it are stacks of its own sources
// and of TorchScript's.
inline std::string_view TorchMessage(std::string_view message) {
  constexpr std::string_view kInner = "RuntimeError: ";
  if (const size_t inner = message.rfind(kInner); inner != std::string_view::npos) {
    message.remove_prefix(inner + kInner.size());
  }
  return message.substr(0, message.find('\n'));
}

// Runs `f`, which returns a Status or a Result, and turns an exception into kInternal with `what`
// and TorchMessage.
template <typename F>
auto CatchTorchErrors(std::string_view what, F&& f) -> decltype(f()) {
  const auto status = [what](std::string_view message) {
    return Status(StatusCode::kInternal,
                  std::string(what) + ": " + std::string(TorchMessage(message)));
  };
  try {
    return std::forward<F>(f)();
  } catch (const c10::Error& error) {
    return status(error.what_without_backtrace());
  } catch (const std::exception& error) {
    return status(error.what());
  }
}

}  // namespace vlaserve
