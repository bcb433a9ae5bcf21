#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/cpu/portable/round.h"
#include "kernels/quantize.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST_CASE("every fp16 number widens and narrows to itself") {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = FloatFromFp16(half);
    if (std::isnan(value)) {
      REQUIRE((half & 0x7FFFu) > 0x7C00u);
      REQUIRE(std::isnan(FloatFromFp16(Fp16FromFloat(value))));
    } else {
      REQUIRE(Fp16FromFloat(value) == half);
    }
  }
  CHECK(FloatFromFp16(0x3C00) == 1.0f);
  CHECK(FloatFromFp16(0x0001) == 0x1p-24f);
  CHECK(FloatFromFp16(0x7BFF) == 65504.0f);
  CHECK(FloatFromFp16(0xFC00) == -kInfinity);
}

TEST_CASE("fp16 rounds to nearest, halves to even, up to the overflow") {
  // Between two neighbours a and b: below, at and above the middle.
  for (uint32_t bits = 0; bits < 0x7BFF; ++bits) {
    const auto lower = static_cast<uint16_t>(bits);
    const auto upper = static_cast<uint16_t>(bits + 1);
    const float middle = (FloatFromFp16(lower) + FloatFromFp16(upper)) / 2;  // exact
    REQUIRE(Fp16FromFloat(std::nextafter(middle, 0.0f)) == lower);
    REQUIRE(Fp16FromFloat(middle) == (lower % 2 == 0 ? lower : upper));
    REQUIRE(Fp16FromFloat(std::nextafter(middle, kInfinity)) == upper);
    REQUIRE(Fp16FromFloat(-middle) == (0x8000u | (lower % 2 == 0 ? lower : upper)));
  }
  CHECK(Fp16FromFloat(std::nextafter(65520.0f, 0.0f)) == 0x7BFF);
  CHECK(Fp16FromFloat(65520.0f) == 0x7C00);
  CHECK(Fp16FromFloat(-kInfinity) == 0xFC00);
}

TEST_CASE("the branch-free fp16 rounding agrees with the conversions") {
  const auto check = [](float value) {
    const float expected = FloatFromFp16(Fp16FromFloat(value));
    INFO(value);
    REQUIRE(kernels::RoundToFp16(value) == expected);
  };
  for (uint32_t bits = 0; bits < 0x7F800000u; bits += 4099) check(std::bit_cast<float>(bits));
  for (uint32_t bits = 0; bits < 0x7C00u; ++bits) {
    const float value = FloatFromFp16(static_cast<uint16_t>(bits));
    check(value);
    check(std::nextafter(value, kInfinity));
    check(value * (1 + 0x1p-11f));
  }
  check(kInfinity);
}

}  // namespace
}  // namespace vlaserve
