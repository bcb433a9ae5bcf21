// How the scratch memory of an activation pass is divided.
#pragma once

#include <cstdint>

namespace vlaserve::kernels {

// The most rows of a block: no CpuKernels::max_rows is larger.
inline constexpr int64_t kActivationRows = 16;
// No vector type rotates more rows at a time.
inline constexpr int64_t kMostRotatedRows = 8;

// Floats from one row to the next: not a power of two, for then the rows' columns would compete for
// the same places of the cache.
constexpr int64_t ActivationStride(int64_t columns) { return (columns + 15) / 16 * 16 + 16; }

struct ActivationScratchRows {
  int64_t stride = 0;
  float* prepared = nullptr;     // max_rows rows
  float* transformed = nullptr;  // max_rows rows
  float* strip = nullptr;        // kMostRotatedRows rows
};

inline __attribute__((always_inline)) ActivationScratchRows DivideActivationScratch(
    float* scratch, int64_t columns, int64_t max_rows) {
  const int64_t stride = ActivationStride(columns);
  return {stride, scratch, scratch + max_rows * stride, scratch + 2 * max_rows * stride};
}

}  // namespace vlaserve::kernels
