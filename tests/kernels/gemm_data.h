// Integer layers for the kernel tests: row-major data, its reference by IntLinear, and the same
// data in the layouts of the CPU kernels, in guarded memory.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/blocked_activations.h"
#include "kernels/int_linear.h"
#include "kernels/panels.h"
#include "tests/kernels/guarded_memory.h"

namespace vlaserve {

inline size_t At(int64_t index) { return static_cast<size_t>(index); }

// kExtreme: the largest codes of either sign, and -128 among bytes.
enum class Codes { kRandom, kExtreme };

struct LayerShape {
  int64_t rows = 1;
  int64_t out_features = 1;
  int64_t in_features = 1;
  int64_t bits = 4;
  int64_t weight_group = 0;
  int64_t activation_group = 0;
};

struct WeightData {
  WeightData(const LayerShape& shape, Codes kind, uint32_t seed);

  // Output before any residual, [rows, N]: IntLinear.
  std::vector<float> Linear(const IntActivations& x, bool with_bias) const;

  LayerShape shape;
  std::vector<int8_t> codes;     // [N, K]
  std::vector<uint8_t> stored;   // as IntWeights wants them
  std::vector<uint16_t> scales;  // [N, G]
  std::vector<float> bias;       // [N]
};

IntActivations MakeActivations(const LayerShape& shape, Codes kind, uint32_t seed);

// The same in panels.
class GuardedWeights {
 public:
  GuardedWeights(const WeightData& data, Guard guard);
  const kernels::PanelWeights& view() const { return view_; }
  const float* bias() const { return bias_.data(); }

 private:
  GuardedArray<uint8_t> codes_;
  GuardedArray<uint16_t> scales_;
  GuardedArray<float> bias_;
  kernels::PanelWeights view_;
};

// The same in blocks.
class GuardedActivations {
 public:
  GuardedActivations(const IntActivations& x, int64_t step, int64_t max_rows, Guard guard);
  const kernels::BlockedActivations& view() const { return view_; }

 private:
  GuardedArray<int8_t> codes_;
  GuardedArray<float> scales_;
  GuardedArray<int32_t> sums_;
  kernels::BlockedActivations view_;
};

}  // namespace vlaserve
