// Inside of FoldSmoothing: adaptive RMSNorms (adaRMS, π0.5's expert), which compute
// normed · (1 + scale) + shift with scale, shift and a gate [3 K] from a dense linear of the time
// condition. Includes LibTorch's JIT headers.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <utility>

#include <torch/csrc/jit/ir/ir.h>

#include "quant/pass/norm_uses.h"

namespace vlaserve {

// Follows what one dense linear gives to the linears behind its norm: by itself, or as a row of the
// table that denoise_step stacks or takes as an argument instead (`condition`).
class AdaptiveNormUses {
 public:
  // Both outlive this.
  AdaptiveNormUses(const LinearNodes& linears, const SmoothScales& smooth)
      : readers_(linears, smooth) {}

  // `dense`: a node that computes the dense linear. False if something else reads its scale or
  // shift. A method may return the table (step_condition): the argument is such a result.
  bool TakeDense(const torch::jit::Node& dense);

  const SmoothedReaders& readers() const { return readers_; }

 private:
  bool TakeListItem(const torch::jit::Use& item);
  // A table whose row `index` the dense linear gives.
  bool TakeTable(const torch::jit::Value* table, int64_t index);
  bool TakeBranch(const torch::jit::Use& result, int64_t index);
  bool TakeRow(const torch::jit::Value* row);
  bool TakeUse(const torch::jit::Use& use);
  bool TakeParts(const torch::jit::Value* list);
  bool TakeSums();

  SmoothedReaders readers_;
  std::set<std::pair<const torch::jit::Value*, int64_t>> tables_;  // taken already
  std::set<const torch::jit::Value*> scales_;
  std::set<const torch::jit::Value*> shifts_;
};

// Whether a linear casts its weight to float32 as it computes.
bool ComputesInFloat32(const torch::jit::Node& linear);

// Makes every reader of the node's output [..., 3 K] see (1 + scale) / s - 1, shift / s and the
// gate. The node must compute in float32.
void DivideModulation(torch::jit::Node& dense, std::span<const float> scales);

}  // namespace vlaserve
