// Block rotations from the weight's singular vectors.
#include "quant/transform/svd.h"

#include <cmath>
#include <limits>
#include <numeric>

#include "tests/support/catch.h"
#include "tests/support/matchers.h"

namespace vlaserve {
namespace {

std::vector<float> Numbers(int64_t count) {
  std::vector<float> numbers;
  uint32_t state = 12345;
  for (int64_t i = 0; i < count; ++i) {
    state = state * 1664525U + 1013904223U;
    numbers.push_back(static_cast<float>(state >> 8U) / 16777216.0F - 0.5F);
  }
  return numbers;
}

std::vector<float> Rotations(const Result<std::vector<float>>& result) {
  INFO(result.status().message());
  REQUIRE(result.ok());
  return *result;
}

// Largest |(RᵀR - I)| of one block.
double Skew(const float* rotation, int64_t size) {
  double largest = 0;
  for (int64_t i = 0; i < size; ++i) {
    for (int64_t j = 0; j < size; ++j) {
      double sum = i == j ? -1 : 0;
      for (int64_t r = 0; r < size; ++r) {
        sum += static_cast<double>(rotation[r * size + i]) *
               static_cast<double>(rotation[r * size + j]);
      }
      largest = std::max(largest, std::abs(sum));
    }
  }
  return largest;
}

// Column energies of W[:, first …] · R.
std::vector<double> Energies(const std::vector<float>& weight, int64_t n, int64_t k, int64_t first,
                             const float* rotation, int64_t size) {
  std::vector<double> energies(static_cast<size_t>(size));
  for (int64_t row = 0; row < n; ++row) {
    for (int64_t c = 0; c < size; ++c) {
      double sum = 0;
      for (int64_t r = 0; r < size; ++r) {
        sum += static_cast<double>(weight[static_cast<size_t>(row * k + first + r)]) *
               static_cast<double>(rotation[r * size + c]);
      }
      energies[static_cast<size_t>(c)] += sum * sum;
    }
  }
  return energies;
}

TEST_CASE("weight rotations are orthogonal, energies descend, the last block is smaller") {
  constexpr int64_t kN = 21;
  constexpr int64_t kK = 19;
  const std::vector<float> weight = Numbers(kN * kK);
  const std::vector<float> rotations = Rotations(WeightSvdRotations(weight, kN, kK, {}, 8));
  REQUIRE(rotations.size() == 64 + 64 + 9);
  const float* rotation = rotations.data();
  for (const int64_t first : {0, 8, 16}) {
    const int64_t size = std::min<int64_t>(8, kK - first);
    CHECK(Skew(rotation, size) < 1e-6);
    const std::vector<double> energies = Energies(weight, kN, kK, first, rotation, size);
    CHECK(std::is_sorted(energies.rbegin(), energies.rend()));
    rotation += size * size;
  }
}

TEST_CASE("the largest entry of every rotation's column is positive") {
  const std::vector<float> weight = Numbers(12 * 12);
  const std::vector<float> rotation = Rotations(WeightSvdRotations(weight, 12, 12, {}, 12));
  for (size_t c = 0; c < 12; ++c) {
    float largest = 0;
    for (size_t r = 0; r < 12; ++r) {
      const float value = rotation[r * 12 + c];
      if (std::abs(value) > std::abs(largest)) largest = value;
    }
    CHECK(largest > 0);
  }
}

TEST_CASE("rotations of rows are the weight rotations of the transposed weight") {
  constexpr int64_t kN = 10;
  constexpr int64_t kK = 300;
  const std::vector<float> weight = Numbers(kN * kK);
  std::vector<float> transposed(weight.size());
  for (int64_t r = 0; r < kN; ++r) {
    for (int64_t c = 0; c < kK; ++c) {
      transposed[static_cast<size_t>(c * kN + r)] = weight[static_cast<size_t>(r * kK + c)];
    }
  }
  CHECK(Rotations(RowSvdRotations(weight, kN, kK, 4)) ==
        Rotations(WeightSvdRotations(transposed, kK, kN, {}, 4)));
}

TEST_CASE("a permutation acts like permuted columns") {
  constexpr int64_t kN = 9;
  constexpr int64_t kK = 6;
  const std::vector<float> weight = Numbers(kN * kK);
  const std::vector<int32_t> order = {3, 0, 5, 1, 4, 2};
  std::vector<float> permuted;
  for (int64_t r = 0; r < kN; ++r) {
    for (const int32_t c : order) permuted.push_back(weight[static_cast<size_t>(r * kK + c)]);
  }
  CHECK(Rotations(WeightSvdRotations(weight, kN, kK, order, 3)) ==
        Rotations(WeightSvdRotations(permuted, kN, kK, {}, 3)));
}

TEST_CASE("a block larger than the layer and a weight of zeros give orthogonal rotations") {
  const std::vector<float> weight(5 * 3, 0.0F);
  const std::vector<float> rotation = Rotations(WeightSvdRotations(weight, 5, 3, {}, 64));
  REQUIRE(rotation.size() == 9);
  CHECK(Skew(rotation.data(), 3) < 1e-6);
}

TEST_CASE("NaN and Inf in the weight are errors that name row and column") {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    std::vector<float> weight(4 * 6, 1.0F);
    weight[2 * 6 + 5] = bad;
    for (const auto& result :
         {WeightSvdRotations(weight, 4, 6, {}, 2), RowSvdRotations(weight, 4, 6, 2)}) {
      REQUIRE(!result.ok());
      CHECK(result.status().code() == StatusCode::kInvalidArgument);
      CHECK_THAT(result.status().message(), ContainsText("row 2, column 5"));
    }
  }
}

TEST_CASE("sizes and permutations that do not fit are errors") {
  const std::vector<float> weight(12, 1.0F);
  const std::vector<int32_t> short_order = {0, 1};
  const std::vector<int32_t> wild_order = {0, 1, 2, 4};
  CHECK(!WeightSvdRotations(weight, 3, 5, {}, 2).ok());
  CHECK(!WeightSvdRotations(weight, 3, 4, {}, 0).ok());
  CHECK(!WeightSvdRotations(weight, 3, 4, short_order, 2).ok());
  CHECK(!WeightSvdRotations(weight, 3, 4, wild_order, 2).ok());
}

TEST_CASE("U times Hadamard stays orthogonal and spreads the energies evenly") {
  constexpr int64_t kN = 40;
  constexpr int64_t kK = 16;
  const std::vector<float> weight = Numbers(kN * kK);
  const std::vector<float> u = Rotations(WeightSvdRotations(weight, kN, kK, {}, 8));
  const std::vector<float> spread = Rotations(TimesHadamard(u, kK, 8));
  REQUIRE(spread.size() == u.size());
  CHECK(Skew(spread.data(), 8) < 1e-6);
  const std::vector<double> before = Energies(weight, kN, kK, 0, u.data(), 8);
  const double mean = std::accumulate(before.begin(), before.end(), 0.0) / 8;
  for (const double energy : Energies(weight, kN, kK, 0, spread.data(), 8)) {
    CHECK(energy == Approx(mean).epsilon(1e-5));
  }
  CHECK(!TimesHadamard(Rotations(WeightSvdRotations(weight, kN, kK, {}, 6)), kK, 6).ok());
}

}  // namespace
}  // namespace vlaserve
