#include "model/transforms/noise.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/support/catch.h"

namespace vlaserve {
namespace {

// Vectors of Random123 (kat_vectors, philox4x32 10).
TEST_CASE("Philox gives the known answers of Random123", "[noise]") {
  using Block = std::array<uint32_t, 4>;
  CHECK(Philox4x32({0, 0, 0, 0}, {0, 0}) == Block{0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8});
  CHECK(Philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}) ==
        Block{0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD});
  CHECK(Philox4x32({0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344}, {0xA4093822, 0x299F31D0}) ==
        Block{0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1});
}

// The table of NOISE.md.
TEST_CASE("the published noise vectors are met bit by bit", "[noise]") {
  struct Case {
    uint64_t seed;
    std::array<uint32_t, 6> bits;  // of elements 0, 1, 2, 3, 999 and 1000000
  };
  const std::vector<Case> cases = {
      {0, {0x3F96BB4F, 0x3E88FDEB, 0xBEB4AC05, 0xBFE489AA, 0xC0130FE2, 0xBE0B6E84}},
      {1, {0x3FA03C14, 0x3F0E9DA7, 0x3F92B1A2, 0x3ECDBF6B, 0x3FE13F98, 0x3FABB571}},
      {7, {0x3F2CCAC2, 0xBFAF1A3E, 0x3F532C3C, 0x3FDCF7BC, 0x3ED4DDBD, 0x3F53D05C}},
      {0x0123456789ABCDEF,
       {0x3F3E8FF8, 0xBD5BE7D4, 0xBEEDA904, 0x3F0486D8, 0x3F75CD3F, 0x3F7125BA}},
      {~uint64_t{0}, {0xBFB133D6, 0xBF8D634D, 0xBF0A45F2, 0x3EA2A7F1, 0x3E0541A2, 0x3FA79AA6}},
  };
  constexpr std::array<size_t, 6> kElements = {0, 1, 2, 3, 999, 1000000};
  for (const Case& expected : cases) {
    const std::vector<float> noise = GaussianNoise(expected.seed, 1000001);
    CAPTURE(expected.seed);
    for (size_t i = 0; i < kElements.size(); ++i) {
      CHECK(std::bit_cast<uint32_t>(noise[kElements[i]]) == expected.bits[i]);
    }
  }
}

TEST_CASE("an element depends on seed and index only", "[noise]") {
  const std::vector<float> whole = GaussianNoise(42, 101);
  for (const int64_t count : {int64_t{0}, int64_t{1}, int64_t{2}, int64_t{37}}) {
    const std::vector<float> part = GaussianNoise(42, count);
    CHECK(part.size() == static_cast<size_t>(count));
    CHECK(std::equal(part.begin(), part.end(), whole.begin()));
  }
  CHECK(GaussianNoise(43, 101) != whole);
}

TEST_CASE("the normal quantile agrees with the distribution function", "[noise]") {
  CHECK(NormalQuantile(0.5) == 0.0);
  CHECK(NormalQuantile(0.975) == Approx(1.959963984540054).epsilon(1e-15));
  double largest = 0.0;
  for (double x = -8.2; x < 8.2; x += 1.0 / 1024) {
    // Work in the lower tail, where the probability has full precision.
    const double p = 0.5 * std::erfc(std::abs(x) / std::sqrt(2.0));
    const double density = std::exp(-0.5 * x * x) / std::sqrt(2.0 * std::acos(-1.0));
    // An error of one part in 2^53 of p moves the quantile by p / density * 2^-53.
    const double error =
        std::abs(NormalQuantile(p) + std::abs(x)) / (std::abs(x) + p / density + 1e-3);
    largest = std::max(largest, error);
  }
  CHECK(largest < 4e-15);
}

TEST_CASE("quantiles of the two sides are mirror images", "[noise]") {
  for (const double p : {0x1p-53, 0x1p-30, 1e-9 * 0x1p-10, 0.001, 0.07, 0.0751, 0.3}) {
    const double mirrored = 1.0 - p;
    if (1.0 - mirrored == p) CHECK(NormalQuantile(p) == -NormalQuantile(mirrored));
  }
  CHECK(NormalQuantile(0x1p-53) == Approx(-8.209536151601387).epsilon(1e-15));
}

TEST_CASE("noise is standard normal", "[noise]") {
  constexpr int64_t kCount = 1000000;
  std::vector<float> noise = GaussianNoise(2026, kCount);
  std::array<double, 4> moments{};
  double neighbours = 0.0;
  for (size_t i = 0; i < noise.size(); ++i) {
    const double x = noise[i];
    moments[0] += x;
    moments[1] += x * x;
    moments[2] += x * x * x;
    moments[3] += x * x * x * x;
    if (i > 0) neighbours += x * noise[i - 1];
  }
  // Five standard errors each.
  CHECK(std::abs(moments[0] / kCount) < 5 * std::sqrt(1.0 / kCount));
  CHECK(std::abs(moments[1] / kCount - 1.0) < 5 * std::sqrt(2.0 / kCount));
  CHECK(std::abs(moments[2] / kCount) < 5 * std::sqrt(15.0 / kCount));
  CHECK(std::abs(moments[3] / kCount - 3.0) < 5 * std::sqrt(96.0 / kCount));
  CHECK(std::abs(neighbours / kCount) < 5 * std::sqrt(1.0 / kCount));

  // Kolmogorov and Smirnov's test at a level of about 1e-6.
  std::sort(noise.begin(), noise.end());
  double distance = 0.0;
  for (size_t i = 0; i < noise.size(); ++i) {
    const double expected = 0.5 * std::erfc(-static_cast<double>(noise[i]) / std::sqrt(2.0));
    distance = std::max(distance, std::abs(expected - static_cast<double>(i) / kCount));
  }
  CHECK(distance * std::sqrt(static_cast<double>(kCount)) < 2.7);
}

}  // namespace
}  // namespace vlaserve
