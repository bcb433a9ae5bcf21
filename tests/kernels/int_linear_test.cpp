#include "kernels/int_linear.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "kernels/quantize.h"
#include "tests/kernels/random_values.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

size_t At(int64_t index) { return static_cast<size_t>(index); }

struct Problem {
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  std::vector<int8_t> codes;
  std::vector<uint8_t> stored;
  std::vector<uint16_t> scales;
  std::vector<float> bias;
  IntWeights weights;
  IntActivations x;
};

Problem MakeProblem(int64_t m, int64_t n, int64_t k, int64_t bits, int64_t weight_group,
                    int64_t input_group) {
  Problem p;
  p.m = m;
  p.n = n;
  p.k = k;
  p.codes = RandomCodes(31, n * k, bits == 4 ? -8 : -127, bits == 4 ? 7 : 127);
  p.stored.assign(p.codes.begin(), p.codes.end());
  if (bits == 4) {
    p.stored.resize(At(n * ((k + 1) / 2)));
    PackNibbles(p.codes.data(), n, k, p.stored.data());
  }
  for (const float scale : RandomFloats(32, n * GroupCount(k, weight_group))) {
    p.scales.push_back(Fp16FromFloat(std::abs(scale)));
  }
  p.bias = RandomFloats(33, n);
  p.weights = {n, k, bits, weight_group, p.stored.data(), p.scales.data()};
  p.x.rows = m;
  p.x.columns = k;
  p.x.group = input_group;
  p.x.codes = RandomCodes(34, m * k, -127, 127);
  p.x.scales = RandomFloats(35, m * GroupCount(k, input_group));
  return p;
}

int64_t Width(int64_t k, int64_t group) { return group <= 0 || group >= k ? k : group; }

std::vector<int32_t> Accumulators(const Problem& p, int64_t m, int64_t n) {
  const int64_t width = std::min(Width(p.k, p.weights.group), Width(p.k, p.x.group));
  std::vector<int32_t> sums;
  for (int64_t begin = 0; begin < p.k; begin += width) {
    int32_t sum = 0;
    for (int64_t c = begin; c < std::min(begin + width, p.k); ++c) {
      sum += int32_t{p.x.codes[At(m * p.k + c)]} * int32_t{p.codes[At(n * p.k + c)]};
    }
    sums.push_back(sum);
  }
  return sums;
}

// The table of the header, row by row.
float Output(const Problem& p, int64_t m, int64_t n, bool with_bias) {
  const int64_t weight_width = Width(p.k, p.weights.group);
  const int64_t input_width = Width(p.k, p.x.group);
  const int64_t width = std::min(weight_width, input_width);
  const float* const s = p.x.scales.data() + m * GroupCount(p.k, p.x.group);
  const auto weight_scale = [&](int64_t group) {
    return FloatFromFp16(p.scales[At(n * GroupCount(p.k, p.weights.group) + group)]);
  };
  float t = 0;
  int64_t begin = 0;
  for (const int32_t accumulator : Accumulators(p, m, n)) {
    const auto f = static_cast<float>(accumulator);
    const float input_scale = s[begin / input_width];
    const float scale = weight_scale(begin / weight_width);
    if (p.x.group == 0) {
      t = std::fma(f, scale, t);
    } else if (p.weights.group == 0) {
      t = std::fma(f, input_scale, t);
    } else {
      t = std::fma(f, input_scale * scale, t);
    }
    begin += width;
  }
  const float bias = p.bias[At(n)];
  if (p.x.group == 0) return with_bias ? std::fma(t, s[0], bias) : t * s[0];
  if (p.weights.group == 0) {
    return with_bias ? std::fma(t, weight_scale(0), bias) : t * weight_scale(0);
  }
  return with_bias ? t + bias : t;
}

void Check(const Problem& p) {
  INFO("M " << p.m << " N " << p.n << " K " << p.k << " bits " << p.weights.bits << " weight group "
            << p.weights.group << " activation group " << p.x.group);
  for (const bool with_bias : {false, true}) {
    std::vector<float> y(At(p.m * p.n), std::numeric_limits<float>::quiet_NaN());
    IntLinear(p.x, p.weights, with_bias ? p.bias.data() : nullptr, 0, p.n, y.data());
    for (int64_t m = 0; m < p.m; ++m) {
      for (int64_t n = 0; n < p.n; ++n) {
        REQUIRE(IntAccumulators(p.x, m, p.weights, n) == Accumulators(p, m, n));
        REQUIRE(y[At(m * p.n + n)] == Output(p, m, n, with_bias));
      }
    }
  }
}

TEST_CASE("integer linear: every pair of groups, both widths, as the table says") {
  for (const int64_t bits : {4, 8}) {
    for (const int64_t weight_group : {0, 32, 64, 128, 256}) {
      for (const int64_t input_group : {0, 32, 64, 128, 256}) {
        Check(MakeProblem(3, 6, 200, bits, weight_group, input_group));
      }
    }
  }
}

TEST_CASE("integer linear: odd and tiny sizes") {
  for (const int64_t k : {1, 2, 31, 129}) {
    for (const int64_t n : {1, 4, 5}) {
      Check(MakeProblem(2, n, k, 4, 32, 32));
      Check(MakeProblem(1, n, k, 8, 0, 0));
    }
  }
}

TEST_CASE("integer linear: many rows, more than are widened at a time") {
  Check(MakeProblem(67, 3, 96, 4, 32, 32));
  Check(MakeProblem(9, 2, 16500, 8, 0, 0));
}

TEST_CASE("integer linear: no rows, no output") {
  const Problem p = MakeProblem(0, 4, 32, 4, 0, 0);
  IntLinear(p.x, p.weights, nullptr, 0, 4, nullptr);
  SUCCEED();
}

TEST_CASE("integer linear: a range of features writes these and no others") {
  const Problem p = MakeProblem(5, 23, 64, 4, 32, 32);
  std::vector<float> whole(At(p.m * p.n));
  IntLinear(p.x, p.weights, p.bias.data(), 0, p.n, whole.data());
  std::vector<float> part(whole.size(), -12345.0f);
  IntLinear(p.x, p.weights, p.bias.data(), 7, 18, part.data());
  for (int64_t i = 0; i < p.m * p.n; ++i) {
    const int64_t n = i % p.n;
    REQUIRE(part[At(i)] == (n >= 7 && n < 18 ? whole[At(i)] : -12345.0f));
  }
}

TEST_CASE("integer linear: the largest accumulators are exact") {
  Problem p = MakeProblem(1, 1, 131071, 8, 0, 0);
  std::fill(p.stored.begin(), p.stored.end(), uint8_t{0x80});
  std::fill(p.codes.begin(), p.codes.end(), int8_t{-128});
  std::fill(p.x.codes.begin(), p.x.codes.end(), int8_t{-127});
  CHECK(IntAccumulators(p.x, 0, p.weights, 0) == std::vector<int32_t>{131071 * 128 * 127});
  Check(p);
}

}  // namespace
}  // namespace vlaserve
