// The operators that an archive's methods may use.
#pragma once

#include <string_view>

namespace vlaserve {

// `name` without overload: "aten::linear". Allowed is what computes on its arguments only: no
// files, no network, no processes, no threads, no output but warnings, no global state, no memory
// outside of its tensors, no C++ classes.
bool OperatorAllowed(std::string_view name);

}  // namespace vlaserve
