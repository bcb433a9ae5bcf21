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

TEST_CASE("activations: scales and codes by the formula, for all groups and bits") {
  const int64_t rows = 4;
  for (const int64_t columns : {1, 33, 100, 256}) {
    for (const int64_t group : {0, 32, 128, 256}) {
      for (const int64_t bits : {2, 4, 7, 8}) {
        const std::vector<float> x = RandomFloats(11, rows * columns);
        const int64_t groups = GroupCount(columns, group);
        const int64_t width = groups == 1 ? columns : group;
        std::vector<int8_t> codes(x.size());
        std::vector<float> scales(At(rows * groups));
        REQUIRE_FALSE(
            QuantizeActivations(x.data(), rows, columns, bits, group, codes.data(), scales.data()));
        const auto largest_code = static_cast<float>((1 << (bits - 1)) - 1);
        for (int64_t r = 0; r < rows; ++r) {
          for (int64_t g = 0; g < groups; ++g) {
            const int64_t end = std::min(columns, (g + 1) * width);
            float a = 0;
            for (int64_t c = g * width; c < end; ++c)
              a = std::max(a, std::abs(x[At(r * columns + c)]));
            REQUIRE(scales[At(r * groups + g)] == a / largest_code);
            const float inverse = largest_code / a;
            for (int64_t c = g * width; c < end; ++c) {
              const float code = std::nearbyint(x[At(r * columns + c)] * inverse);
              REQUIRE(static_cast<float>(codes[At(r * columns + c)]) == code);
              REQUIRE(std::abs(code) <= largest_code);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("activations: the last group may be short") {
  CHECK(GroupCount(100, 32) == 4);
  CHECK(GroupCount(96, 32) == 3);
  CHECK(GroupCount(32, 32) == 1);
  CHECK(GroupCount(20, 32) == 1);
  CHECK(GroupCount(20, 0) == 1);
}

TEST_CASE("activations below 2^-100 count as zero, and no smaller") {
  const float limit = 0x1p-100f;
  const std::vector<float> x = {std::nextafter(limit, 0.0f), -0.0f, limit, -limit};
  std::vector<int8_t> codes(4, 1);
  std::vector<float> scales(2, 1);
  REQUIRE_FALSE(QuantizeActivations(x.data(), 2, 2, 8, 0, codes.data(), scales.data()));
  CHECK(codes == std::vector<int8_t>{0, 0, 127, -127});
  CHECK(scales == std::vector<float>{0, limit / 127});
}

TEST_CASE("activations: the first row that is not finite is named") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {nan, -nan, infinity, -infinity}) {
    std::vector<float> x(5 * 64, 1.0f);
    x[2 * 64 + 63] = bad;
    x[4 * 64] = bad;
    std::vector<int8_t> codes(x.size());
    std::vector<float> scales(10);
    CHECK(QuantizeActivations(x.data(), 5, 64, 8, 32, codes.data(), scales.data()) == 2);
  }
}

}  // namespace
}  // namespace vlaserve
