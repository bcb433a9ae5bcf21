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
// float32, in every such place of the root module's methods, found by what the graphs compute, and
// returns the linears behind them, whose engines must not divide again.
//
// A norm is left alone if anything but linears of `smooth` (name → scales [K]) with equal scales
// reads its output, if its weight is read otherwise, or if 1 + w' would fall below 1/256 somewhere,
// where float32 would lose more than 2e-5 of it. Call it before the lowering.
//
// Errors: kInternal for what LibTorch reports.
Result<std::set<std::string>> FoldSmoothing(
    const torch::jit::Module& module, const std::map<std::string, std::span<const float>>& smooth);

}  // namespace vlaserve
