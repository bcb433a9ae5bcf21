// Conversions, reductions and transposition in 256-bit vectors, for attention's AVX2 and AVX-512
// code. Internal linkage: every file that includes it is compiled for its own instruction set.
#pragma once

#include <cstdint>

#include <immintrin.h>

namespace vlaserve::kernels {
namespace {  // NOLINT(google-build-namespaces)

inline __m256 LoadBFloat16x8(const uint16_t* x) {
  const __m128i narrow = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(narrow), 16));
}

// Half to even; NaN becomes the quiet NaN 0x7fc0.
inline void StoreBFloat16x8(uint16_t* y, __m256 x) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_srli_epi32(
      _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
  const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  const __m256i wide = _mm256_blendv_epi8(rounded, _mm256_set1_epi32(0x7fc0), is_nan);
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(wide, wide), 0x08);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(y), _mm256_castsi256_si128(packed));
}

inline float WidenBFloat16(uint16_t x) { return __builtin_bit_cast(float, uint32_t{x} << 16); }

inline uint16_t NarrowToBFloat16(float x) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, x);
  if (x != x) return 0x7fc0;
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

inline float MaxOfLanes8(__m256 x) {
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

inline float SumOfLanes8(__m256 x) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

// rows[i] lane j -> rows[j] lane i.
inline void Transpose8x8(__m256 (&rows)[8]) {
  __m256 pairs[8];
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    pairs[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
  }
  __m256 quads[8];
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    quads[i] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0x44);
    quads[i + 1] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0xee);
    quads[i + 2] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0x44);
    quads[i + 3] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    rows[i] = _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x20);
    rows[i + 4] = _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x31);
  }
}

// 8 vectors of 16 bfloat16, of which `count`, even, matter: element d of vector i to
// panel[d * stride + i].
inline void StoreKeys8x16(__m256 (&keys)[8], int count, float* panel, int64_t stride) {
  Transpose8x8(keys);  // of pairs: the even element in the low half
  const __m256i high_half = _mm256_set1_epi32(static_cast<int>(0xffff0000U));
#pragma GCC unroll 8
  for (int i = 0; i < count / 2; ++i) {
    const __m256i pair = _mm256_castps_si256(keys[i]);
    _mm256_storeu_ps(panel + 2 * i * stride, _mm256_castsi256_ps(_mm256_slli_epi32(pair, 16)));
    _mm256_storeu_ps(panel + (2 * i + 1) * stride,
                     _mm256_castsi256_ps(_mm256_and_si256(pair, high_half)));
  }
}

// 8 keys of `count` elements: element d of key i, as float32, to panel[d * stride + i].
inline void TransposeKeys8(const uint16_t* const* keys, int64_t count, float* panel,
                           int64_t stride) {
  __m256 rows[8];
  int64_t d = 0;
  for (; d + 16 <= count; d += 16) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      rows[i] =
          _mm256_castsi256_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(keys[i] + d)));
    }
    StoreKeys8x16(rows, 16, panel + d * stride, stride);
  }
  if (d + 8 <= count) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      rows[i] = _mm256_castsi256_ps(
          _mm256_zextsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(keys[i] + d))));
    }
    StoreKeys8x16(rows, 8, panel + d * stride, stride);
    d += 8;
  }
  for (; d < count; ++d) {
    for (int i = 0; i < 8; ++i) panel[d * stride + i] = WidenBFloat16(keys[i][d]);
  }
}

inline void TransposeKeys8(const float* const* keys, int64_t count, float* panel, int64_t stride) {
  __m256 rows[8];
  int64_t d = 0;
  for (; d + 8 <= count; d += 8) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) rows[i] = _mm256_loadu_ps(keys[i] + d);
    Transpose8x8(rows);
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) _mm256_storeu_ps(panel + (d + i) * stride, rows[i]);
  }
  for (; d < count; ++d) {
    for (int i = 0; i < 8; ++i) panel[d * stride + i] = keys[i][d];
  }
}

}  // namespace
}  // namespace vlaserve::kernels
