// vector_portable.h with AVX-512 F, BW, DQ and VL: one register.
#pragma once

#include <cstdint>

#include <immintrin.h>

#define VLASERVE_VECTOR inline __attribute__((always_inline))

namespace vlaserve::kernels::avx512_vnni {

struct LargestBits;
struct CodeSums;

namespace internal {
VLASERVE_VECTOR __mmask16 FirstLanes(int64_t count) {
  return static_cast<__mmask16>((1u << count) - 1u);
}
VLASERVE_VECTOR __m512 Widen(__m256i bfloat16) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bfloat16), 16));
}
}  // namespace internal

struct Floats {
  using Largest = LargestBits;
  using Sums = CodeSums;
  static constexpr int64_t kLanes = 16;
  static constexpr int kRotatedRows = 7;

  __m512 all;

  static VLASERVE_VECTOR Floats All(float value) { return {_mm512_set1_ps(value)}; }
  static VLASERVE_VECTOR Floats Load(const float* from) { return {_mm512_loadu_ps(from)}; }
  static VLASERVE_VECTOR Floats LoadFirst(const float* from, int64_t count) {
    return {_mm512_maskz_loadu_ps(internal::FirstLanes(count), from)};
  }
  static VLASERVE_VECTOR Floats Load(const uint16_t* from) {
    return {internal::Widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)))};
  }
  static VLASERVE_VECTOR Floats LoadFirst(const uint16_t* from, int64_t count) {
    return {internal::Widen(_mm256_maskz_loadu_epi16(internal::FirstLanes(count), from))};
  }
  VLASERVE_VECTOR void Store(float* to) const { _mm512_storeu_ps(to, all); }
  VLASERVE_VECTOR void StoreFirst(float* to, int64_t count) const {
    _mm512_mask_storeu_ps(to, internal::FirstLanes(count), all);
  }

  VLASERVE_VECTOR Floats First(int64_t count) const {
    return {_mm512_maskz_mov_ps(internal::FirstLanes(count), all)};
  }
};

VLASERVE_VECTOR Floats operator+(Floats a, Floats b) { return {_mm512_add_ps(a.all, b.all)}; }
VLASERVE_VECTOR Floats operator-(Floats a, Floats b) { return {_mm512_sub_ps(a.all, b.all)}; }
VLASERVE_VECTOR Floats operator*(Floats a, Floats b) { return {_mm512_mul_ps(a.all, b.all)}; }
VLASERVE_VECTOR Floats operator/(Floats a, Floats b) { return {_mm512_div_ps(a.all, b.all)}; }
VLASERVE_VECTOR Floats Fma(Floats a, Floats b, Floats c) {
  return {_mm512_fmadd_ps(a.all, b.all, c.all)};
}
VLASERVE_VECTOR Floats Min(Floats a, Floats b) { return {_mm512_min_ps(a.all, b.all)}; }
VLASERVE_VECTOR Floats Max(Floats a, Floats b) { return {_mm512_max_ps(a.all, b.all)}; }

VLASERVE_VECTOR Floats PowerOfTwo(Floats shifted) {
  const __m512i biased = _mm512_add_epi32(_mm512_castps_si512(shifted.all), _mm512_set1_epi32(127));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(biased, 23))};
}

// Swaps the partners, then adds what has its sign changed where a difference belongs: a - b is
// a + (-b).
template <int kHalf>
VLASERVE_VECTOR Floats Butterflies(Floats x) {
  const __m512i values = _mm512_castps_si512(x.all);
  const __m512i minus = _mm512_set1_epi32(INT32_MIN);
  constexpr __mmask16 kUpper =
      kHalf == 1 ? 0xAAAA : (kHalf == 2 ? 0xCCCC : (kHalf == 4 ? 0xF0F0 : 0xFF00));
  const __m512 changed = _mm512_castsi512_ps(_mm512_mask_xor_epi32(values, kUpper, values, minus));
  __m512 swapped;
  if constexpr (kHalf == 1) {
    swapped = _mm512_shuffle_ps(x.all, x.all, 0xB1);
  } else if constexpr (kHalf == 2) {
    swapped = _mm512_shuffle_ps(x.all, x.all, 0x4E);
  } else {
    swapped = _mm512_castsi512_ps(_mm512_shuffle_i32x4(values, values, kHalf == 4 ? 0xB1 : 0x4E));
  }
  return {_mm512_add_ps(swapped, changed)};
}

VLASERVE_VECTOR float SumOfLanes(Floats x) {
  const __m256 eight =
      _mm256_add_ps(_mm512_castps512_ps256(x.all),
                    _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x.all), 1)));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

struct LargestBits {
  __m512i bits = _mm512_setzero_si512();

  VLASERVE_VECTOR void Add(Floats x) {
    const __m512i magnitude =
        _mm512_and_si512(_mm512_castps_si512(x.all), _mm512_set1_epi32(INT32_MAX));
    bits = _mm512_max_epu32(bits, magnitude);
  }
  VLASERVE_VECTOR uint32_t OfAllLanes() const {
    const __m256i eight =
        _mm256_max_epu32(_mm512_castsi512_si256(bits), _mm512_extracti64x4_epi64(bits, 1));
    __m128i four = _mm_max_epu32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    four = _mm_max_epu32(four, _mm_shuffle_epi32(four, 0x4E));
    four = _mm_max_epu32(four, _mm_shuffle_epi32(four, 0xB1));
    return static_cast<uint32_t>(_mm_cvtsi128_si32(four));
  }
};

struct CodeSums {
  __m512i quads = _mm512_setzero_si512();  // row r: lanes r, 4 + r, 8 + r, 12 + r

  VLASERVE_VECTOR void Store(int32_t* sums) const {
    const __m256i eight =
        _mm256_add_epi32(_mm512_castsi512_si256(quads), _mm512_extracti64x4_epi64(quads, 1));
    _mm_storeu_si128(
        reinterpret_cast<__m128i*>(sums),
        _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1)));
  }
};

namespace internal {
template <int kRows>
VLASERVE_VECTOR void StoreQuad(__m128i codes, int8_t* to) {
  if constexpr (kRows == 4) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), codes);
  } else if constexpr (kRows == 1) {
    _mm_storeu_si32(to, codes);
  } else {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), codes);
    if constexpr (kRows == 3) _mm_storeu_si32(to + 8, _mm_unpackhi_epi64(codes, codes));
  }
}
}  // namespace internal

template <int kRows>
VLASERVE_VECTOR void StoreCodes(const Floats* x, int8_t* to, int64_t quad_stride, bool whole,
                                CodeSums& sums) {
  // Packing interleaves: with four rows it puts a quad's rows beside each other by itself.
  const Floats& x1 = x[kRows > 1 ? 1 : 0];
  const Floats& x2 = x[kRows > 2 ? 2 : 0];
  const Floats& x3 = x[kRows > 3 ? 3 : 0];
  const __m512i codes = _mm512_packs_epi16(
      _mm512_packs_epi32(_mm512_cvtps_epi32(x[0].all), _mm512_cvtps_epi32(x1.all)),
      _mm512_packs_epi32(_mm512_cvtps_epi32(x2.all), _mm512_cvtps_epi32(x3.all)));
  sums.quads = _mm512_dpbusd_epi32(sums.quads, _mm512_set1_epi8(1), codes);
  internal::StoreQuad<kRows>(_mm512_castsi512_si128(codes), to);
  internal::StoreQuad<kRows>(_mm512_extracti32x4_epi32(codes, 1), to + quad_stride);
  if (!whole) return;
  internal::StoreQuad<kRows>(_mm512_extracti32x4_epi32(codes, 2), to + 2 * quad_stride);
  internal::StoreQuad<kRows>(_mm512_extracti32x4_epi32(codes, 3), to + 3 * quad_stride);
}

}  // namespace vlaserve::kernels::avx512_vnni

#undef VLASERVE_VECTOR
