// bfloat16: the upper half of a float32.
#pragma once

#include <bit>
#include <cstdint>

namespace vlaserve::kernels::portable {

inline float FloatFromBFloat16(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

// Rounds half to even. A NaN keeps its upper half and becomes quiet, as vcvtneps2bf16 has it.
inline uint16_t BFloat16FromFloat(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<uint16_t>(bits >> 16 | 0x40u);
  return static_cast<uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

}  // namespace vlaserve::kernels::portable
