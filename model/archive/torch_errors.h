// LibTorch's exceptions as values.
#pragma once

#include <exception>
#include <string>
#include <string_view>

#include "model/io/status.h"

namespace vlaserve {

// kUnreadable with `where` and the first lines of LibTorch's message, without its backtrace.
Status TorchFailure(const std::exception& error, std::string_view where);

}  // namespace vlaserve
