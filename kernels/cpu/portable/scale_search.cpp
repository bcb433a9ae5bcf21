#include "kernels/cpu/portable/scale_search.h"

#include <limits>

#include "kernels/cpu/portable/round.h"
#include "kernels/cpu/portable/target.h"

namespace vlaserve::kernels {
namespace {

using Floats = float __attribute__((vector_size(32), may_alias));
using Doubles = double __attribute__((vector_size(32)));

const Floats& Load(const float* lanes) { return *reinterpret_cast<const Floats*>(lanes); }

// The errors are those of the definition, which computes in double from the subtraction on:
// code · scale has at most 19 significant bits, hence is exact in float; so is the difference, a
// multiple of the last place of w (|w| <= 16 |code · scale|, else the product is 0) and not larger
// than w; its square has at most 48 bits, hence is exact in double. Only the sum rounds.
VLASERVE_INLINE_BODY void ErrorsBody(const float* tile, int64_t columns, const float* scales,
                                     const float* lows, const float* highs, double* errors) {
  const Floats scale = Load(scales);
  const Floats low = Load(lows);
  const Floats high = Load(highs);
  Doubles first = {};
  Doubles second = {};
  for (int64_t c = 0; c < columns; ++c) {
    const Floats w = Load(tile + c * kLanes);
    Floats code = w / scale;
    code = code > low ? code : low;  // in this order: 0 / 0 becomes low, and low · 0 is 0
    code = code < high ? code : high;
    code = (code + kRoundingOffset) - kRoundingOffset;
    const Floats difference = w - code * scale;
    const Doubles d0 = __builtin_convertvector(
        __builtin_shufflevector(difference, difference, 0, 1, 2, 3), Doubles);
    const Doubles d1 = __builtin_convertvector(
        __builtin_shufflevector(difference, difference, 4, 5, 6, 7), Doubles);
    first += d0 * d0;
    second += d1 * d1;
  }
  for (int i = 0; i < 4; ++i) {
    errors[i] = first[i];
    errors[4 + i] = second[i];
  }
}

VLASERVE_INLINE_BODY void SearchBody(const float* tile, int64_t columns,
                                     const ScaleCandidates& candidates, int8_t* winner) {
  double best[kLanes];
  for (int lane = 0; lane < kLanes; ++lane) {
    best[lane] = std::numeric_limits<double>::infinity();
    winner[lane] = 0;
  }
  for (int k = 0; k < candidates.count; ++k) {
    double errors[kLanes];
    ErrorsBody(tile, columns, candidates.scale[k], candidates.low[k], candidates.high[k], errors);
    for (int lane = 0; lane < kLanes; ++lane) {
      // The error of an infinite scale is NaN, which is never smaller.
      if (errors[lane] < best[lane]) {
        best[lane] = errors[lane];
        winner[lane] = static_cast<int8_t>(k);
      }
    }
  }
}

void SearchAnyCpu(const float* tile, int64_t columns, const ScaleCandidates& candidates,
                  int8_t* winner) {
  SearchBody(tile, columns, candidates, winner);
}

VLASERVE_AVX2 void SearchAvx2(const float* tile, int64_t columns, const ScaleCandidates& candidates,
                              int8_t* winner) {
  SearchBody(tile, columns, candidates, winner);
}

}  // namespace

void SearchScales(const float* tile, int64_t columns, const ScaleCandidates& candidates,
                  int8_t* winner) {
  (CpuHasAvx2() ? SearchAvx2 : SearchAnyCpu)(tile, columns, candidates, winner);
}

}  // namespace vlaserve::kernels
