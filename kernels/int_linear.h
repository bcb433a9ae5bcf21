// y = x Wᵀ + b on integer codes: the seam that every integer back end fills.
//
// This header is the portable definition, exact by golden int_oracle §4 "Accumulate": integer
// accumulators per step of min(weight group, activation group) columns, groups ascending, one fma
// per group. A back end may order float operations otherwise; its integers must be the same.
//
// Groups are given as configured. One that spans all columns (group >= K) has as many scales as
// "per row" or "per token" (0), but another order of roundings. f = float of the accumulator, S the
// weight's scale, s the activation's, t = 0 before the first step:
//
//   activations  weights       each step             end, no bias   end, with bias
//   per token    any           t = fma(f, S, t)      t * s          fma(t, s, bias)
//   groups       per row       t = fma(f, s, t)      t * S          fma(t, S, bias)
//   groups       groups        t = fma(f, s * S, t)  t              t + bias
//
// Of two groups below K one divides the other. Accumulators are exact: K < 2^17.
//
// Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <vector>

namespace vlaserve {

// Codes as they lie in a pack (quant/pack/PACK_FORMAT.md). N = out, K = in.
struct IntWeights {
  int64_t out_features = 0;
  int64_t in_features = 0;
  int64_t bits = 4;   // storage: 4 (nibbles, [N, ceil(K/2)]) or 8 (int8, [N, K])
  int64_t group = 0;  // columns per scale, 0: per row; see above
  const uint8_t* codes = nullptr;
  const uint16_t* scales = nullptr;  // fp16 [N, G]
};

struct IntActivations {
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t group = 0;          // columns per scale, 0: per token; see above
  std::vector<int8_t> codes;  // [rows, columns]
  std::vector<float> scales;  // [rows, G]
};

// Rows [0, M) against output features [n_begin, n_end): writes y[m * N + n] for these n. Calls for
// disjoint ranges may run at the same time. `bias`: float32 [N] or null.
void IntLinear(const IntActivations& x, const IntWeights& weights, const float* bias,
               int64_t n_begin, int64_t n_end, float* y);

// The exact accumulators of one row and one output feature, group by group: for tests and checks.
std::vector<int32_t> IntAccumulators(const IntActivations& x, int64_t row,
                                     const IntWeights& weights, int64_t n);

}  // namespace vlaserve
