// The boundary at which exceptions on the worker become values: chiefly no memory, which the
// standard library reports from anywhere below.
#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include "model/io/status.h"

namespace vlaserve {

// Runs `f`, which returns a Status or a Result, and turns an exception into kInternal with `what`
// and its message.
template <typename F>
auto CatchExceptions(std::string_view what, F&& f) -> decltype(f()) {
  try {
    return std::forward<F>(f)();
  } catch (const std::exception& error) {
    return Status(StatusCode::kInternal, std::string(what) + ": " + error.what());
  }
}

}  // namespace vlaserve
