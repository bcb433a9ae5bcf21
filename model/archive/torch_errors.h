// The boundary at which LibTorch's exceptions become values. Includes LibTorch's exceptions only.
#pragma once

#include <algorithm>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include <c10/util/Exception.h>

#include "model/io/status.h"

namespace vlaserve {

// The line of an exception's message that says what happened, and the line of TorchScript code that
// it names, if any; around them are stacks of LibTorch's own sources and of TorchScript's.
inline std::string TorchMessage(const std::exception& error) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  std::string_view text =
      torch_error != nullptr ? torch_error->what_without_backtrace() : error.what();
  constexpr std::string_view kInner = "RuntimeError: ";
  constexpr std::string_view kPlace = "File \"";
  constexpr size_t kMaxLine = 1000;
  if (const size_t inner = text.rfind(kInner); inner != std::string_view::npos) {
    text.remove_prefix(inner + kInner.size());
  }
  text.remove_prefix(std::min(text.find_first_not_of('\n'), text.size()));
  std::string message(text.substr(0, std::min(text.find('\n'), kMaxLine)));
  if (const size_t place = text.find(kPlace, message.size()); place != std::string_view::npos) {
    if (message.ends_with(':')) message.pop_back();
    const std::string_view line = text.substr(place, kMaxLine);
    message.append(" (").append(line.substr(0, line.find('\n'))).append(")");
  }
  return message;
}

// `code` with "<what>: <TorchMessage>".
inline Status TorchFailure(StatusCode code, std::string_view what, const std::exception& error) {
  return {code, std::string(what) + ": " + TorchMessage(error)};
}

// Runs `f`, which returns a Status or a Result, and turns an exception into TorchFailure.
template <typename F>
auto CatchTorchErrors(std::string_view what, F&& f, StatusCode code = StatusCode::kInternal)
    -> decltype(f()) {
  try {
    return std::forward<F>(f)();
  } catch (const std::exception& error) {
    return TorchFailure(code, what, error);
  }
}

}  // namespace vlaserve
