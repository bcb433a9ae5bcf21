// Inside of FoldSmoothing: who reads what a norm computes. Includes LibTorch's JIT headers.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <string>

#include <torch/csrc/jit/ir/ir.h>

#include "quant/pass/find_linears.h"

namespace vlaserve {

// Smoothing scales [K] of linears, by name.
using SmoothScales = std::map<std::string, std::span<const float>>;

// Linears by the nodes that compute them.
using LinearNodes = std::map<const torch::jit::Node*, std::string>;

// |(1 + w) / s| from here on can be stored as the sum 1 + w' in float32: w' loses at most 2e-5 of
// it.
inline constexpr double kSmallestNormFactor = 1.0 / 256;

// Whether every use of the value that looks at its numbers is allowed.
template <typename F>
bool AllUses(const torch::jit::Value* value, F&& allowed) {
  return std::all_of(value->uses().begin(), value->uses().end(), [&](const torch::jit::Use& use) {
    return ReadsMetadataOnly(use) || allowed(use);
  });
}

bool IsConstant(const torch::jit::Value* value, int64_t expected);

// The output of `value + 1`; null if the use is something else.
const torch::jit::Value* OnePlus(const torch::jit::Use& use);

// The linears to smooth behind a norm's output.
class SmoothedReaders {
 public:
  // Both outlive this.
  SmoothedReaders(const LinearNodes& linears, const SmoothScales& smooth)
      : linears_(linears), smooth_(smooth) {}

  // False if anything but a linear of `smooth` reads the numbers.
  bool TakeOutput(const torch::jit::Value* output);

  const std::set<std::string>& names() const { return names_; }
  // Those of all linears; empty if they differ, if there is none, or if one of the linears also
  // reads something else, in whatever method.
  std::span<const float> CommonScales() const;

 private:
  const LinearNodes& linears_;
  const SmoothScales& smooth_;
  std::set<std::string> names_;
  std::set<const torch::jit::Node*> nodes_;
};

}  // namespace vlaserve
