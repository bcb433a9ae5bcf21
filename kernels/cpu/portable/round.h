// Rounding half to even by additions that leave no room for a fraction.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>

namespace vlaserve::kernels {

// From here to 2^24 the floats are the integers.
inline constexpr float kRoundingOffset = 0x1.8p23f;

// Precondition of both: |value| < 2^22.
inline float RoundHalfToEven(float value) { return (value + kRoundingOffset) - kRoundingOffset; }
inline int32_t RoundToInt(float value) {
  return std::bit_cast<int32_t>(value + kRoundingOffset) - std::bit_cast<int32_t>(kRoundingOffset);
}

// FloatFromFp16(Fp16FromFloat(value)) without branches, for value >= 0.
inline float RoundToFp16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0xFFFu + ((bits >> 13) & 1u)) & ~0x1FFFu;
  // Below 2^-14: floats in [0.5, 1) are spaced like subnormal halves.
  const float subnormal = (value + 0.5f) - 0.5f;
  const float normal =
      value >= 65520.0f ? std::numeric_limits<float>::infinity() : std::bit_cast<float>(rounded);
  return value < 0x1p-14f ? subnormal : normal;
}

}  // namespace vlaserve::kernels
