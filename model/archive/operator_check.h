// What a loaded module's methods would do, checked before anything runs.
#pragma once

#include <torch/csrc/jit/api/module.h>

#include "model/io/status.h"

namespace vlaserve {

// Passes every function of the module's compilation unit (all methods of all its classes; they can
// call nothing else) through the allow-list (operator_allow_list.h), and refuses methods that
//  - write in place into a parameter, buffer or constant (stored_writes.h): those lie in a
//    read-only mapping,
//  - cast a value to another type unchecked, other than an Optional to what it holds: the
//    interpreter would reach outside of an object that is smaller than the type says,
//  - set attributes of the module: a policy keeps no state between calls,
//  - inline to more than a million nodes.
// kUnreadable, starting with `path`, naming operator, method and line of its code.
Status CheckOperators(const torch::jit::Module& module, const std::string& path);

}  // namespace vlaserve
