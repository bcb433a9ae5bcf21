// One group of one row of a weight: its range, and its codes once the scale is known.
#pragma once

#include <cstdint>

namespace vlaserve::kernels {

// max|w|; NaN or Inf if there is one among them (an integer maximum over the bit patterns).
float AbsMax(const float* weight, int64_t count);

// min ≤ 0 ≤ max of finite weights.
struct WeightRange {
  float min = 0;
  float max = 0;
};
WeightRange MinMax(const float* weight, int64_t count);

// codes = clamp(rne(w / scale), low, high) + offset as bytes (two's complement). A scale of 0 gives
// `offset`. Preconditions: finite weights; |low|, |high| <= 255.
void EncodeGroup(const float* weight, int64_t count, float scale, float low, float high, int offset,
                 uint8_t* codes);

}  // namespace vlaserve::kernels
