// Which operators of a module write into its stored tensors.
#pragma once

#include <vector>

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/ir/ir.h>

namespace vlaserve {

// The function that a call node runs; null for everything else and for calls through an interface.
torch::jit::GraphFunction* Callee(torch::jit::Node& node);

// The first operator in `functions` (which call nothing but each other) that may write in place
// into a tensor held by an attribute or constant; null if there is none.
//
// Errs on the side of refusing: an operator whose result may be its argument counts as handing out
// the argument's memory, and so does a list, dict or tuple in which a stored tensor was ever put.
const torch::jit::Node* FindStoredWrite(const std::vector<torch::jit::GraphFunction*>& functions);

}  // namespace vlaserve
