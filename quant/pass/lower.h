// The lowering: aten::linear nodes of a TorchScript module's methods become calls of engines.
// Includes LibTorch's JIT headers.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <torch/csrc/jit/api/module.h>

#include "model/io/status.h"
#include "quant/engine/linear_engine.h"

namespace vlaserve {

// One linear as the graphs use it.
struct GraphLinear {
  std::string name;   // path of the weight without ".weight"; "constant.3" for frozen weights
  at::Tensor weight;  // [N, K], as stored
  at::Tensor bias;    // [N], as stored; undefined: none
  int64_t uses = 0;   // aten::linear nodes in all methods
  // What else looks at the weight's numbers ("aten::matmul in step_condition"), or why the linear
  // is not one layer (a computed bias); not empty: it cannot be replaced.
  std::vector<std::string> other_uses;
};

// Every linear that the methods of the root module use, in order of first use, after inlining.
// Works for scripted, traced and frozen modules as far as aten::linear is visible; looks through
// casts of the weight.
Result<std::vector<GraphLinear>> FindLinears(const torch::jit::Module& module);

struct LowerReport {
  int64_t replaced_layers = 0;
  int64_t replaced_nodes = 0;
};

// The dtype in which a parameter stored as `stored` would have been computed with.
using PlaceholderDtype =
    std::function<at::ScalarType(const std::string& parameter, at::ScalarType stored)>;

// Replaces the linears named in `engines` in all methods of the root module: each method is made
// anew from its inlined graph, with calls of the engines, which become attributes of the root. The
// weights give way to placeholders (right dtype and shape, one NaN, no memory), so that what only
// asks for their dtype or size still works and nothing else can read them silently. Biases stay.
//
// The module's class must not be shared with a module that goes on as it was. Errors:
// kInvalidArgument naming the layer if it is used otherwise than by aten::linear (with the
// operators) or not at all; kInternal for what LibTorch reports. The module must not be used after
// an error.
Result<LowerReport> LowerLinears(torch::jit::Module& module,
                                 std::map<std::string, std::unique_ptr<LinearEngine>> engines,
                                 const PlaceholderDtype& placeholder_dtype);

}  // namespace vlaserve
