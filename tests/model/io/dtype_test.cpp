#include "model/io/dtype.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "tests/support/catch.h"

namespace vlaserve {
namespace {

constexpr DType kAll[] = {DType::kBool, DType::kU8,  DType::kI8,   DType::kI16, DType::kI32,
                          DType::kI64,  DType::kF16, DType::kBF16, DType::kF32, DType::kF64};

// The value of a finite binary16 pattern by IEEE 754's definition.
double HalfByDefinition(uint32_t bits) {
  const int exponent = static_cast<int>(bits >> 10 & 0x1F);
  const double mantissa = bits & 0x3FF;
  const double magnitude =
      exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

TEST_CASE("DType: names and types map onto each other") {
  for (const DType dtype : kAll) {
    REQUIRE(DTypeFromName(DTypeName(dtype)).has_value());
    CHECK(*DTypeFromName(DTypeName(dtype)) == dtype);
  }
  CHECK(DTypeName(DType::kBF16) == "BF16");
  CHECK_FALSE(DTypeFromName("F8_E4M3").has_value());
  CHECK_FALSE(DTypeFromName("f32").has_value());
  CHECK_FALSE(DTypeFromName("").has_value());
}

TEST_CASE("DType: sizes") {
  const size_t sizes[] = {1, 1, 1, 2, 4, 8, 2, 2, 4, 8};
  for (size_t i = 0; i < std::size(kAll); ++i) CHECK(DTypeSize(kAll[i]) == sizes[i]);
}

TEST_CASE("bfloat16: every pattern survives widening and narrowing") {
  for (uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    const float value = Bf16ToFloat(static_cast<uint16_t>(bits));
    const uint16_t back = FloatToBf16(value);
    if (std::isnan(value)) {
      REQUIRE(std::isnan(Bf16ToFloat(back)));
      REQUIRE(std::signbit(Bf16ToFloat(back)) == std::signbit(value));
    } else {
      REQUIRE(back == bits);
    }
  }
}

TEST_CASE("bfloat16: narrowing rounds to nearest, ties to even") {
  const auto narrow = [](uint32_t bits) { return FloatToBf16(std::bit_cast<float>(bits)); };
  CHECK(narrow(0x3F800000) == 0x3F80);  // 1
  CHECK(narrow(0x3F807FFF) == 0x3F80);  // just below the middle
  CHECK(narrow(0x3F808000) == 0x3F80);  // tie, even is below
  CHECK(narrow(0x3F808001) == 0x3F81);  // just above the middle
  CHECK(narrow(0x3F818000) == 0x3F82);  // tie, even is above
  CHECK(narrow(0xBF818000) == 0xBF82);  // the same below zero
  CHECK(narrow(0x3FFFFFFF) == 0x4000);  // carries into the exponent
}

TEST_CASE("bfloat16: narrowing at the ends of the range") {
  const auto narrow = [](uint32_t bits) { return FloatToBf16(std::bit_cast<float>(bits)); };
  CHECK(narrow(0x7F7FFFFF) == 0x7F80);  // the largest float rounds to infinity
  CHECK(narrow(0x7F800000) == 0x7F80);  // infinity
  CHECK(narrow(0xFF800000) == 0xFF80);
  CHECK(narrow(0x80000000) == 0x8000);  // -0
  CHECK(narrow(0x00000001) == 0x0000);  // the smallest denormal
  CHECK(narrow(0x00018000) == 0x0002);  // denormal tie to even
  // NaNs whose payload would be rounded away or would carry into the sign.
  CHECK(std::isnan(Bf16ToFloat(narrow(0x7F800001))));
  CHECK(std::isnan(Bf16ToFloat(narrow(0x7FFFFFFF))));
  CHECK(std::isnan(Bf16ToFloat(narrow(0xFF800001))));
  CHECK(std::signbit(Bf16ToFloat(narrow(0xFF800001))));
}

TEST_CASE("float16: every pattern widens to its IEEE 754 value") {
  for (uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    const float value = F16ToFloat(static_cast<uint16_t>(bits));
    const bool special = (bits & 0x7C00) == 0x7C00;
    REQUIRE(std::signbit(value) == ((bits & 0x8000) != 0));
    if (!special) {
      REQUIRE(double{value} == HalfByDefinition(bits));
    } else if ((bits & 0x3FF) == 0) {
      REQUIRE(std::isinf(value));
    } else {
      REQUIRE(std::isnan(value));
    }
  }
}

}  // namespace
}  // namespace vlaserve
