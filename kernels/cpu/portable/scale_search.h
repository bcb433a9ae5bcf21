// Which of several scales quantizes a group of weights with the smallest squared error, for eight
// rows at a time (one per vector lane).
#pragma once

#include <cstdint>

namespace vlaserve::kernels {

inline constexpr int kLanes = 8;
inline constexpr int kMaxCandidates = 26;

struct ScaleCandidates {
  int count = 0;
  // scale: a value of fp16, +Inf: never chosen. A code is rne(w / scale) clamped to [low, high].
  alignas(32) float scale[kMaxCandidates][kLanes];
  alignas(32) float low[kMaxCandidates][kLanes];
  alignas(32) float high[kMaxCandidates][kLanes];
};

// For each lane the first candidate with the smallest Σ (w - code · scale)², summed in double over
// ascending columns. `tile`: [columns][kLanes], aligned to 32 bytes. Preconditions: finite weights;
// |code| <= 255; |w| <= 16 |code · scale| wherever the code is not 0.
void SearchScales(const float* tile, int64_t columns, const ScaleCandidates& candidates,
                  int8_t* winner);

}  // namespace vlaserve::kernels
