// Stands in for the compiler's <immintrin.h> where the AVX-512 kernels are compiled for any
// processor: SIMDe's portable copies of the intrinsics, and those that SIMDe 0.7.4 lacks or that
// round otherwise than the instruction.
#pragma once

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>

#include "kernels/quantize.h"

using __mmask16 = simde__mmask16;

// Kernels repeat an intrinsic dozens of times; inlined everywhere, they would compile for minutes.
#define VLASERVE_EMULATED inline __attribute__((noinline))

namespace vlaserve::emulated {

template <typename T, typename Vector>
struct Lanes {
  static constexpr size_t kCount = sizeof(Vector) / sizeof(T);
  T of[kCount] = {};

  Lanes() = default;
  explicit Lanes(Vector vector) { std::memcpy(of, &vector, sizeof(vector)); }
  operator Vector() const {
    Vector vector;
    std::memcpy(&vector, of, sizeof(vector));
    return vector;
  }
};

// Memory outside of the mask is not touched: guard pages stay meaningful.
template <typename T, typename Vector, typename Mask>
Vector MaskedLoad(Mask mask, const void* from) {
  Lanes<T, Vector> lanes;
  for (size_t i = 0; i < lanes.kCount; ++i) {
    if (mask >> i & 1) std::memcpy(&lanes.of[i], static_cast<const T*>(from) + i, sizeof(T));
  }
  return lanes;
}

template <typename T, typename Vector, typename Mask>
void MaskedStore(void* to, Mask mask, Vector vector) {
  const Lanes<T, Vector> lanes(vector);
  for (size_t i = 0; i < lanes.kCount; ++i) {
    if (mask >> i & 1) std::memcpy(static_cast<T*>(to) + i, &lanes.of[i], sizeof(T));
  }
}

template <typename To, typename From, typename ToVector, typename FromVector, typename Function>
ToVector Map(FromVector vector, Function function) {
  const Lanes<From, FromVector> from(vector);
  Lanes<To, ToVector> to;
  static_assert(to.kCount == from.kCount);
  for (size_t i = 0; i < to.kCount; ++i) to.of[i] = function(from.of[i]);
  return to;
}

// SIMDe rounds twice where the processor has no fma.
VLASERVE_EMULATED __m512 Fma(__m512 a, __m512 b, __m512 c) {
  const Lanes<float, __m512> x(a);
  const Lanes<float, __m512> y(b);
  Lanes<float, __m512> z(c);
  for (size_t i = 0; i < z.kCount; ++i) z.of[i] = std::fma(x.of[i], y.of[i], z.of[i]);
  return z;
}

// Σ of four products of unsigned and signed bytes per lane.
VLASERVE_EMULATED __m512i DotBytes(__m512i sums, __m512i a, __m512i b) {
  const Lanes<uint8_t, __m512i> x(a);
  const Lanes<int8_t, __m512i> y(b);
  Lanes<int32_t, __m512i> result(sums);
  for (size_t i = 0; i < x.kCount; ++i) result.of[i / 4] += x.of[i] * y.of[i];
  return result;
}

inline int32_t RoundToInt(float value) {
  const float rounded = std::nearbyint(value);
  return rounded >= -0x1p31f && rounded < 0x1p31f ? static_cast<int32_t>(rounded)
                                                  : std::numeric_limits<int32_t>::min();
}

}  // namespace vlaserve::emulated

// NOLINTBEGIN(bugprone-reserved-identifier): names of the compiler's own header.
#undef _mm512_fmadd_ps
#define _mm512_fmadd_ps(a, b, c) vlaserve::emulated::Fma(a, b, c)
#undef _mm512_dpbusd_epi32
#define _mm512_dpbusd_epi32(sums, a, b) vlaserve::emulated::DotBytes(sums, a, b)

VLASERVE_EMULATED __m512 _mm512_cvtepi32_ps(__m512i a) {
  return vlaserve::emulated::Map<float, int32_t, __m512>(
      a, [](int32_t x) { return static_cast<float>(x); });
}
VLASERVE_EMULATED __m512i _mm512_cvtps_epi32(__m512 a) {
  return vlaserve::emulated::Map<int32_t, float, __m512i>(a, vlaserve::emulated::RoundToInt);
}
VLASERVE_EMULATED __m512 _mm512_cvtph_ps(__m256i a) {
  return vlaserve::emulated::Map<float, uint16_t, __m512>(a, vlaserve::FloatFromFp16);
}
VLASERVE_EMULATED __m512i _mm512_cvtepu16_epi32(__m256i a) {
  return vlaserve::emulated::Map<uint32_t, uint16_t, __m512i>(
      a, [](uint16_t x) { return uint32_t{x}; });
}
VLASERVE_EMULATED __m256i _mm512_cvtepi32_epi16(__m512i a) {
  return vlaserve::emulated::Map<uint16_t, uint32_t, __m256i>(
      a, [](uint32_t x) { return static_cast<uint16_t>(x); });
}
VLASERVE_EMULATED __m512 _mm512_maskz_loadu_ps(__mmask16 mask, const void* from) {
  return vlaserve::emulated::MaskedLoad<float, __m512>(mask, from);
}
VLASERVE_EMULATED __m256i _mm256_maskz_loadu_epi16(__mmask16 mask, const void* from) {
  return vlaserve::emulated::MaskedLoad<uint16_t, __m256i>(mask, from);
}
VLASERVE_EMULATED void _mm512_mask_storeu_ps(void* to, __mmask16 mask, __m512 a) {
  vlaserve::emulated::MaskedStore<float>(to, mask, a);
}
VLASERVE_EMULATED void _mm256_mask_storeu_epi16(void* to, __mmask16 mask, __m256i a) {
  vlaserve::emulated::MaskedStore<uint16_t>(to, mask, a);
}
// NOLINTEND(bugprone-reserved-identifier)
