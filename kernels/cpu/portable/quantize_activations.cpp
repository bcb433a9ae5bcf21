#include <algorithm>
#include <bit>

#include "kernels/cpu/portable/round.h"
#include "kernels/cpu/portable/target.h"
#include "kernels/quantize.h"

namespace vlaserve {
namespace {

constexpr uint32_t kInfinityBits = 0x7F800000u;
constexpr float kSmallest = 0x1p-100f;  // below it 127 / a could overflow

// False if the group holds NaN or Inf.
VLASERVE_INLINE_BODY bool GroupBody(const float* x, int64_t count, float code_max, int8_t* codes,
                                    float* scale) {
  uint32_t largest = 0;
  for (int64_t c = 0; c < count; ++c) {
    largest = std::max(largest, std::bit_cast<uint32_t>(x[c]) & 0x7FFFFFFFu);
  }
  if (largest >= kInfinityBits) return false;
  const auto abs_max = std::bit_cast<float>(largest);
  if (abs_max < kSmallest) {
    std::fill_n(codes, count, int8_t{0});
    *scale = 0;
    return true;
  }
  const float inverse = code_max / abs_max;
  *scale = abs_max / code_max;
  for (int64_t c = 0; c < count; ++c) {
    codes[c] = static_cast<int8_t>(kernels::RoundToInt(x[c] * inverse));
  }
  return true;
}

bool GroupAnyCpu(const float* x, int64_t count, float code_max, int8_t* codes, float* scale) {
  return GroupBody(x, count, code_max, codes, scale);
}

VLASERVE_AVX2 bool GroupAvx2(const float* x, int64_t count, float code_max, int8_t* codes,
                             float* scale) {
  return GroupBody(x, count, code_max, codes, scale);
}

}  // namespace

int64_t GroupCount(int64_t columns, int64_t group) {
  return group <= 0 || group >= columns ? 1 : (columns + group - 1) / group;
}

std::optional<int64_t> QuantizeActivations(const float* x, int64_t rows, int64_t columns,
                                           int64_t bits, int64_t group, int8_t* codes,
                                           float* scales) {
  const auto quantize = kernels::CpuHasAvx2() ? GroupAvx2 : GroupAnyCpu;
  const auto code_max = static_cast<float>((1 << (bits - 1)) - 1);
  const int64_t groups = GroupCount(columns, group);
  const int64_t width = groups == 1 ? columns : group;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t begin = g * width;
      const int64_t count = std::min(width, columns - begin);
      if (!quantize(x + r * columns + begin, count, code_max, codes + r * columns + begin,
                    scales + r * groups + g)) {
        return r;
      }
    }
  }
  return std::nullopt;
}

}  // namespace vlaserve
