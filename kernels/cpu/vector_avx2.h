// vector_portable.h with AVX2, FMA and F16C: two registers of eight lanes.
#pragma once

#include <cstdint>
#include <cstring>

#include <immintrin.h>

#define VLASERVE_VECTOR inline __attribute__((always_inline))

namespace vlaserve::kernels::avx2 {

namespace internal {
// Ones, then zeros: count lanes are chosen by what begins 16 - count lanes into it.
alignas(64) inline constexpr int32_t kLaneMasks[32] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                                       -1, -1, -1, -1, -1, 0,  0,  0,  0,  0,  0,
                                                       0,  0,  0,  0,  0,  0,  0,  0,  0,  0};

VLASERVE_VECTOR __m256i LowMask(int64_t count) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kLaneMasks + 16 - count));
}
VLASERVE_VECTOR __m256i HighMask(int64_t count) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kLaneMasks + 24 - count));
}
VLASERVE_VECTOR __m256 Widen(__m128i bfloat16) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bfloat16), 16));
}
}  // namespace internal

struct LargestBits;
struct CodeSums;

struct Floats {
  using Largest = LargestBits;
  using Sums = CodeSums;
  static constexpr int64_t kLanes = 16;
  static constexpr int kRotatedRows = 6;

  __m256 low;
  __m256 high;

  static VLASERVE_VECTOR Floats All(float value) {
    return {_mm256_set1_ps(value), _mm256_set1_ps(value)};
  }
  static VLASERVE_VECTOR Floats Load(const float* from) {
    return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)};
  }
  static VLASERVE_VECTOR Floats LoadFirst(const float* from, int64_t count) {
    return {_mm256_maskload_ps(from, internal::LowMask(count)),
            _mm256_maskload_ps(from + 8, internal::HighMask(count))};
  }
  static VLASERVE_VECTOR Floats Load(const uint16_t* from) {
    return {internal::Widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))),
            internal::Widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 8)))};
  }
  static VLASERVE_VECTOR Floats LoadFirst(const uint16_t* from, int64_t count) {
    alignas(32) uint16_t values[kLanes] = {};
    std::memcpy(values, from, static_cast<size_t>(count) * sizeof(uint16_t));
    return Load(values);
  }
  VLASERVE_VECTOR void Store(float* to) const {
    _mm256_storeu_ps(to, low);
    _mm256_storeu_ps(to + 8, high);
  }
  VLASERVE_VECTOR void StoreFirst(float* to, int64_t count) const {
    _mm256_maskstore_ps(to, internal::LowMask(count), low);
    _mm256_maskstore_ps(to + 8, internal::HighMask(count), high);
  }

  VLASERVE_VECTOR Floats First(int64_t count) const {
    return {_mm256_and_ps(low, _mm256_castsi256_ps(internal::LowMask(count))),
            _mm256_and_ps(high, _mm256_castsi256_ps(internal::HighMask(count)))};
  }
};

VLASERVE_VECTOR Floats operator+(Floats a, Floats b) {
  return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
VLASERVE_VECTOR Floats operator-(Floats a, Floats b) {
  return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}
VLASERVE_VECTOR Floats operator*(Floats a, Floats b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
VLASERVE_VECTOR Floats operator/(Floats a, Floats b) {
  return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}
VLASERVE_VECTOR Floats Fma(Floats a, Floats b, Floats c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
VLASERVE_VECTOR Floats Min(Floats a, Floats b) {
  return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}
VLASERVE_VECTOR Floats Max(Floats a, Floats b) {
  return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}

VLASERVE_VECTOR Floats PowerOfTwo(Floats shifted) {
  const __m256i bias = _mm256_set1_epi32(127);
  const __m256i low = _mm256_add_epi32(_mm256_castps_si256(shifted.low), bias);
  const __m256i high = _mm256_add_epi32(_mm256_castps_si256(shifted.high), bias);
  return {_mm256_castsi256_ps(_mm256_slli_epi32(low, 23)),
          _mm256_castsi256_ps(_mm256_slli_epi32(high, 23))};
}

namespace internal {
// b - a is computed as b + (-a), which is the same.
template <int kHalf>
VLASERVE_VECTOR __m256 Butterflies(__m256 x) {
  const float minus = -0.0f;
  if constexpr (kHalf == 1) {
    const __m256 sign = _mm256_setr_ps(0, minus, 0, minus, 0, minus, 0, minus);
    return _mm256_add_ps(_mm256_permute_ps(x, 0xB1), _mm256_xor_ps(x, sign));
  } else if constexpr (kHalf == 2) {
    const __m256 sign = _mm256_setr_ps(0, 0, minus, minus, 0, 0, minus, minus);
    return _mm256_add_ps(_mm256_permute_ps(x, 0x4E), _mm256_xor_ps(x, sign));
  } else {
    const __m256 sign = _mm256_setr_ps(0, 0, 0, 0, minus, minus, minus, minus);
    return _mm256_add_ps(_mm256_permute2f128_ps(x, x, 0x01), _mm256_xor_ps(x, sign));
  }
}
}  // namespace internal

template <int kHalf>
VLASERVE_VECTOR Floats Butterflies(Floats x) {
  if constexpr (kHalf == 8) {
    return {_mm256_add_ps(x.low, x.high), _mm256_sub_ps(x.low, x.high)};
  } else {
    return {internal::Butterflies<kHalf>(x.low), internal::Butterflies<kHalf>(x.high)};
  }
}

VLASERVE_VECTOR float SumOfLanes(Floats x) {
  const __m256 eight = _mm256_add_ps(x.low, x.high);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

struct LargestBits {
  __m256i low = _mm256_setzero_si256();
  __m256i high = _mm256_setzero_si256();

  VLASERVE_VECTOR void Add(Floats x) {
    const __m256i magnitude = _mm256_set1_epi32(0x7FFFFFFF);
    low = _mm256_max_epu32(low, _mm256_and_si256(_mm256_castps_si256(x.low), magnitude));
    high = _mm256_max_epu32(high, _mm256_and_si256(_mm256_castps_si256(x.high), magnitude));
  }
  VLASERVE_VECTOR uint32_t OfAllLanes() const {
    const __m256i eight = _mm256_max_epu32(low, high);
    __m128i four = _mm_max_epu32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    four = _mm_max_epu32(four, _mm_shuffle_epi32(four, 0x4E));
    four = _mm_max_epu32(four, _mm_shuffle_epi32(four, 0xB1));
    return static_cast<uint32_t>(_mm_cvtsi128_si32(four));
  }
};

struct CodeSums {
  __m256i pairs = _mm256_setzero_si256();  // row r: lanes r and 4 + r

  VLASERVE_VECTOR void Store(int32_t* sums) const {
    _mm_storeu_si128(
        reinterpret_cast<__m128i*>(sums),
        _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1)));
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
  // Packing interleaves: with four rows it puts a quad's rows beside each other by itself. Quads 0
  // and 1 come from the low halves, 2 and 3 from the high ones.
  const Floats& x1 = x[kRows > 1 ? 1 : 0];
  const Floats& x2 = x[kRows > 2 ? 2 : 0];
  const Floats& x3 = x[kRows > 3 ? 3 : 0];
  const __m256i first = _mm256_packs_epi16(
      _mm256_packs_epi32(_mm256_cvtps_epi32(x[0].low), _mm256_cvtps_epi32(x1.low)),
      _mm256_packs_epi32(_mm256_cvtps_epi32(x2.low), _mm256_cvtps_epi32(x3.low)));
  const __m256i second = _mm256_packs_epi16(
      _mm256_packs_epi32(_mm256_cvtps_epi32(x[0].high), _mm256_cvtps_epi32(x1.high)),
      _mm256_packs_epi32(_mm256_cvtps_epi32(x2.high), _mm256_cvtps_epi32(x3.high)));
  const __m256i ones = _mm256_set1_epi8(1);
  const __m256i four =
      _mm256_add_epi16(_mm256_maddubs_epi16(ones, first), _mm256_maddubs_epi16(ones, second));
  sums.pairs = _mm256_add_epi32(sums.pairs, _mm256_madd_epi16(four, _mm256_set1_epi16(1)));
  internal::StoreQuad<kRows>(_mm256_castsi256_si128(first), to);
  internal::StoreQuad<kRows>(_mm256_extracti128_si256(first, 1), to + quad_stride);
  if (!whole) return;
  internal::StoreQuad<kRows>(_mm256_castsi256_si128(second), to + 2 * quad_stride);
  internal::StoreQuad<kRows>(_mm256_extracti128_si256(second, 1), to + 3 * quad_stride);
}

}  // namespace vlaserve::kernels::avx2

#undef VLASERVE_VECTOR
