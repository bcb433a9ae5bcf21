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

struct Candidate {
  float scale = 0;
  int zero = 0;
  int low = 0;
  int high = 0;
};

// The candidates of one group as the header defines them, one by one.
std::vector<Candidate> Candidates(const float* w, int64_t count, int64_t bits, bool symmetric,
                                  WeightSearch search) {
  std::vector<float> factors = {1};
  std::vector<float> divisors = {1};
  if (search == WeightSearch::kClipSearch) {
    factors.assign(ClipRatios().begin(), ClipRatios().end());
    divisors.assign(factors.size(), 1);
  } else if (search == WeightSearch::kGrid5) {
    divisors = {0.5f, 0.75f, 1, 1.25f, 1.5f};
    factors.assign(divisors.size(), 1);
  }
  float min = 0;
  float max = 0;
  for (int64_t c = 0; c < count; ++c) {
    min = std::min(min, symmetric ? 0 : w[c]);
    max = std::max(max, symmetric ? std::abs(w[c]) : w[c]);
  }
  const int levels = symmetric ? (1 << (bits - 1)) - 1 : (1 << bits) - 1;
  std::vector<Candidate> candidates;
  for (size_t k = 0; k < factors.size(); ++k) {
    const float low = min * factors[k];
    const float range = max * factors[k] - low;
    const float wide = range / static_cast<float>(levels) / divisors[k];
    Candidate candidate;
    candidate.scale = FloatFromFp16(Fp16FromFloat(wide));
    if (symmetric) {
      candidate.low = bits == 8 ? -levels : -levels - 1;
      candidate.high = levels;
    } else {
      if (candidate.scale > 0) {
        candidate.zero = static_cast<int>(
            std::min(std::nearbyint(-low / candidate.scale), static_cast<float>(levels)));
      }
      candidate.high = levels;
    }
    candidates.push_back(candidate);
  }
  return candidates;
}

int Code(float w, const Candidate& candidate) {
  if (candidate.scale == 0) return candidate.zero;
  const float code = std::nearbyint(w / candidate.scale) + static_cast<float>(candidate.zero);
  return static_cast<int>(
      std::clamp(code, static_cast<float>(candidate.low), static_cast<float>(candidate.high)));
}

size_t Best(const float* w, int64_t count, const std::vector<Candidate>& candidates) {
  size_t winner = 0;
  double best = std::numeric_limits<double>::infinity();
  for (size_t k = 0; k < candidates.size(); ++k) {
    if (!std::isfinite(candidates[k].scale)) continue;
    double error = 0;
    for (int64_t c = 0; c < count; ++c) {
      const double product = static_cast<double>(Code(w[c], candidates[k]) - candidates[k].zero) *
                             static_cast<double>(candidates[k].scale);
      const double difference = static_cast<double>(w[c]) - product;
      error += difference * difference;
    }
    if (error < best) {
      best = error;
      winner = k;
    }
  }
  return winner;
}

constexpr WeightSearch kSearches[] = {WeightSearch::kRtn, WeightSearch::kGrid5,
                                      WeightSearch::kClipSearch};

void CheckSymmetric(const std::vector<float>& w, int64_t rows, int64_t columns, int64_t bits,
                    int64_t group, WeightSearch search) {
  const int64_t groups = GroupCount(columns, group);
  const int64_t width = groups == 1 ? columns : group;
  std::vector<int8_t> codes(w.size());
  std::vector<uint16_t> scales(At(rows * groups));
  std::vector<int8_t> choice(scales.size());
  REQUIRE_FALSE(QuantizeWeights(w.data(), rows, columns, bits, group, search, codes.data(),
                                scales.data(), choice));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t g = 0; g < groups; ++g) {
      INFO("bits " << bits << ", group " << group << ", row " << r << ", group " << g);
      const int64_t begin = g * width;
      const int64_t count = std::min(width, columns - begin);
      const float* const values = w.data() + r * columns + begin;
      const std::vector<Candidate> candidates = Candidates(values, count, bits, true, search);
      const size_t k = Best(values, count, candidates);
      REQUIRE(static_cast<size_t>(choice[At(r * groups + g)]) == k);
      REQUIRE(FloatFromFp16(scales[At(r * groups + g)]) == candidates[k].scale);
      for (int64_t c = 0; c < count; ++c) {
        REQUIRE(codes[At(r * columns + begin + c)] == Code(values[c], candidates[k]));
      }
    }
  }
}

TEST_CASE("symmetric weights: the search is the double-precision definition, bit for bit") {
  for (const WeightSearch search : kSearches) {
    for (const int64_t bits : {2, 3, 4, 5, 6, 7, 8}) {
      CheckSymmetric(RandomFloats(21, 11 * 100), 11, 100, bits, 32, search);
      CheckSymmetric(RandomFloats(22, 3 * 129), 3, 129, bits, 128, search);
      CheckSymmetric(RandomFloats(23, 16 * 70), 16, 70, bits, 0, search);
    }
  }
}

TEST_CASE("symmetric weights of any magnitude: subnormal scales, vanishing ones, the largest") {
  for (const float magnitude : {1e-40f, 1e-9f, 3e-8f, 4e-7f, 1e-5f, 1.0f, 1e4f}) {
    std::vector<float> w = RandomFloats(24, 8 * 64);
    for (float& value : w) value *= magnitude / 64;
    for (const WeightSearch search : kSearches) {
      CheckSymmetric(w, 8, 64, 4, 32, search);
      CheckSymmetric(w, 8, 64, 8, 32, search);
    }
  }
}

TEST_CASE("asymmetric weights: scales, zeros and codes by the definition") {
  const int64_t rows = 11;
  const int64_t columns = 100;
  for (const float offset : {0.0f, 3.0f, -40.0f}) {
    std::vector<float> w = RandomFloats(25, rows * columns);
    for (float& value : w) value += offset;
    for (const WeightSearch search : kSearches) {
      for (const int64_t bits : {2, 4, 5, 8}) {
        const int64_t group = 32;
        const int64_t groups = GroupCount(columns, group);
        std::vector<uint8_t> codes(w.size());
        std::vector<uint16_t> scales(At(rows * groups));
        std::vector<uint8_t> zeros(scales.size());
        REQUIRE_FALSE(QuantizeWeightsAsymmetric(w.data(), rows, columns, bits, group, search,
                                                codes.data(), scales.data(), zeros.data()));
        for (int64_t r = 0; r < rows; ++r) {
          for (int64_t g = 0; g < groups; ++g) {
            INFO("bits " << bits << ", offset " << offset << ", row " << r << ", group " << g);
            const int64_t count = std::min(group, columns - g * group);
            const float* const values = w.data() + r * columns + g * group;
            const std::vector<Candidate> candidates =
                Candidates(values, count, bits, false, search);
            const Candidate& best = candidates[Best(values, count, candidates)];
            REQUIRE(FloatFromFp16(scales[At(r * groups + g)]) == best.scale);
            REQUIRE(zeros[At(r * groups + g)] == best.zero);
            for (int64_t c = 0; c < count; ++c) {
              REQUIRE(codes[At(r * columns + g * group + c)] == Code(values[c], best));
            }
          }
        }
      }
    }
  }
}

TEST_CASE("a clip search is never worse than rounding to nearest, and uses the code -8") {
  const std::vector<float> w = RandomFloats(26, 64 * 128);
  std::vector<int8_t> codes(w.size());
  std::vector<uint16_t> scales(64);
  const auto error_of = [&](WeightSearch search) {
    REQUIRE_FALSE(
        QuantizeWeights(w.data(), 64, 128, 4, 0, search, codes.data(), scales.data(), {}));
    double error = 0;
    for (size_t i = 0; i < w.size(); ++i) {
      error += std::pow(w[i] - static_cast<float>(codes[i]) * FloatFromFp16(scales[i / 128]), 2);
    }
    return error;
  };
  const double rtn = error_of(WeightSearch::kRtn);
  CHECK(*std::min_element(codes.begin(), codes.end()) == -7);
  CHECK(error_of(WeightSearch::kClipSearch) < 0.9 * rtn);
  CHECK(*std::min_element(codes.begin(), codes.end()) == -8);
}

TEST_CASE("a group of zeros gets scale 0 and codes 0") {
  const std::vector<float> w(9 * 40, -0.0f);
  std::vector<int8_t> codes(w.size(), 1);
  std::vector<uint16_t> scales(18, 1);
  REQUIRE_FALSE(QuantizeWeights(w.data(), 9, 40, 4, 32, WeightSearch::kClipSearch, codes.data(),
                                scales.data(), {}));
  CHECK(codes == std::vector<int8_t>(w.size(), 0));
  CHECK(scales == std::vector<uint16_t>(18, 0));
}

TEST_CASE("weights that cannot be quantized are named by row and column, the first first") {
  const int64_t rows = 20;
  const int64_t columns = 96;
  std::vector<int8_t> codes(At(rows * columns));
  std::vector<uint16_t> scales(At(rows * 3));
  const auto quantize = [&](const std::vector<float>& w) {
    return QuantizeWeights(w.data(), rows, columns, 4, 32, WeightSearch::kRtn, codes.data(),
                           scales.data(), {});
  };
  const std::vector<float> good(At(rows * columns), 0.5f);
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    std::vector<float> w = good;
    w[At(13 * columns + 70)] = bad;
    w[At(14 * columns)] = bad;
    const auto error = quantize(w);
    REQUIRE(error.has_value());
    CHECK(error->kind == WeightError::Kind::kNotFinite);
    CHECK(error->row == 13);
    CHECK(error->column == 70);
  }
  std::vector<float> w = good;
  w[At(5 * columns + 40)] = std::nextafter(65520.0f * 7, 0.0f);
  CHECK_FALSE(quantize(w).has_value());
  w[At(5 * columns + 40)] = 65520.0f * 7;
  const auto error = quantize(w);
  REQUIRE(error.has_value());
  CHECK(error->kind == WeightError::Kind::kScaleTooLarge);
  CHECK(error->row == 5);
  CHECK(error->column == 32);
}

TEST_CASE("grid5 passes over scales that overflow fp16") {
  std::vector<float> w(32, 0.0f);
  w[3] = 65504.0f * 7;
  CheckSymmetric(w, 1, 32, 4, 0, WeightSearch::kGrid5);
  std::vector<int8_t> codes(32);
  uint16_t scale = 0;
  REQUIRE_FALSE(
      QuantizeWeights(w.data(), 1, 32, 4, 0, WeightSearch::kGrid5, codes.data(), &scale, {}));
  CHECK(FloatFromFp16(scale) == 65504.0f);
  CHECK(codes[3] == 7);
}

}  // namespace
}  // namespace vlaserve
