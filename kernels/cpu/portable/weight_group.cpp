#include "kernels/cpu/portable/weight_group.h"

#include <algorithm>
#include <bit>

#include "kernels/cpu/portable/round.h"
#include "kernels/cpu/portable/target.h"

namespace vlaserve::kernels {
namespace {

VLASERVE_INLINE_BODY float AbsMaxBody(const float* weight, int64_t count) {
  uint32_t largest = 0;
  for (int64_t c = 0; c < count; ++c) {
    largest = std::max(largest, std::bit_cast<uint32_t>(weight[c]) & 0x7FFFFFFFu);
  }
  return std::bit_cast<float>(largest);
}

float AbsMaxAnyCpu(const float* weight, int64_t count) { return AbsMaxBody(weight, count); }

VLASERVE_AVX2 float AbsMaxAvx2(const float* weight, int64_t count) {
  return AbsMaxBody(weight, count);
}

VLASERVE_INLINE_BODY void EncodeBody(const float* weight, int64_t count, float scale, float low,
                                     float high, int offset, uint8_t* codes) {
  for (int64_t c = 0; c < count; ++c) {
    float code = weight[c] / scale;
    code = code > low ? code : low;
    code = code < high ? code : high;
    codes[c] = static_cast<uint8_t>(RoundToInt(code) + offset);
  }
}

void EncodeAnyCpu(const float* weight, int64_t count, float scale, float low, float high,
                  int offset, uint8_t* codes) {
  EncodeBody(weight, count, scale, low, high, offset, codes);
}

VLASERVE_AVX2 void EncodeAvx2(const float* weight, int64_t count, float scale, float low,
                              float high, int offset, uint8_t* codes) {
  EncodeBody(weight, count, scale, low, high, offset, codes);
}

}  // namespace

float AbsMax(const float* weight, int64_t count) {
  return (CpuHasAvx2() ? AbsMaxAvx2 : AbsMaxAnyCpu)(weight, count);
}

WeightRange MinMax(const float* weight, int64_t count) {
  WeightRange range;
  for (int64_t c = 0; c < count; ++c) {
    range.min = std::min(range.min, weight[c]);
    range.max = std::max(range.max, weight[c]);
  }
  return range;
}

void EncodeGroup(const float* weight, int64_t count, float scale, float low, float high, int offset,
                 uint8_t* codes) {
  if (scale == 0) {
    std::fill_n(codes, count, static_cast<uint8_t>(offset));
    return;
  }
  (CpuHasAvx2() ? EncodeAvx2 : EncodeAnyCpu)(weight, count, scale, low, high, offset, codes);
}

}  // namespace vlaserve::kernels
