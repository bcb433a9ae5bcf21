// Smoothing that costs nothing: where an RMSNorm feeds linears that all divide their input by the
// same scales, the norm can do it. Includes LibTorch's JIT headers.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>

#include <torch/csrc/jit/api/module.h>

#include "model/io/status.h"

namespace vlaserve {

// Gemma's RMSNorm multiplies by 1 + w; with w' = (1 + w) / s - 1 its output arrives divided by s
// (SmoothQuant, arXiv 2211.10438, §4; spec quantization.md §3.5). Replaces the norm's weight, in
// float32. An adaptive RMSNorm (adaRMS, π0.5's expert) computes normed · (1 + scale) + shift with
// rows of a dense linear: there (1 + scale) / s - 1 and shift / s are formed behind that linear, in
// the graphs, so that the step table holds them, for any number of steps; the dense weights stay
// mapped as they are, and without the table it is one vector operation per norm and step. Done in
// every such place of the root module's methods, found by what the graphs compute. Returns the
// linears behind, whose engines must not divide again.
//
// A norm is left alone if anything but linears of `smooth` (name → scales [K]) with equal scales
// reads its output, if one of these linears reads something else as well, if the weight or the
// scale and shift are read otherwise, or if 1 + w' would fall below 1/256 somewhere (adaptive: if
// s > 256), where float32 would lose more than 2e-5 of it. Call it before the lowering; the
// module's class must not be shared with a module that goes on as it was.
//
// What else §3.5 counts as foldable is left to the layer that reads it, which divides and permutes
// each row in cache while it quantizes it:
//  - scales and permutation of down_proj into the rows of gate_proj and up_proj: a packed up_proj
//    would have to be packed anew for every setting of down_proj (its codes change with its rows),
//    and a float one would leave the archive's mapping for memory of its own;
//  - scales of o_proj into v_proj: needs scales that are equal over all query heads, which no
//    calibration gives, and in π0 and π0.5 the expert's queries attend to values of both v_proj in
//    one softmax, so that both o_proj of a layer would have to share them.
//
// Errors: kInternal for what LibTorch reports.
Result<std::set<std::string>> FoldSmoothing(
    const torch::jit::Module& module, const std::map<std::string, std::span<const float>>& smooth);

}  // namespace vlaserve
