// What attention (attention_run.h) needs of AVX-512 F, BW, DQ and VL.
#pragma once

#include <cstdint>

#include <immintrin.h>

#include "kernels/cpu/attention_convert_avx2.h"

namespace vlaserve::kernels::avx512_vnni {

struct AttentionVector {
  using Vec = __m512;
  static constexpr int64_t kLanes = 16;
  // A tile: 24 of the 32 registers hold sums.
  static constexpr int kRows = 12;
  static constexpr int kVectors = 2;
  static constexpr int64_t kPanel = kLanes * kVectors;
  static constexpr int64_t kKeyBlock = 128;
  static constexpr int64_t kValuePanels = 1;

  static Vec Zero() { return _mm512_setzero_ps(); }
  static Vec Broadcast(float x) { return _mm512_set1_ps(x); }
  static Vec Load(const float* x) { return _mm512_loadu_ps(x); }
  static void Store(float* y, Vec x) { _mm512_storeu_ps(y, x); }
  static Vec Add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
  static Vec Sub(Vec a, Vec b) { return _mm512_sub_ps(a, b); }
  static Vec Mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
  static Vec Fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
  // b where a is NaN.
  static Vec Max(Vec a, Vec b) { return _mm512_max_ps(a, b); }
  static Vec ZeroWhereBelow(Vec value, Vec x, Vec limit) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, limit, _CMP_NLT_UQ), value);
  }
  // 2^(n - 127) where n is in the low 9 bits.
  static Vec PowerOfTwo(Vec bits) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(bits), 23));
  }
  static float FirstLane(Vec x) { return _mm_cvtss_f32(_mm512_castps512_ps128(x)); }
  static float MaxOfLanes(Vec x) {
    return MaxOfLanes8(_mm256_max_ps(_mm512_castps512_ps256(x), HighHalf(x)));
  }
  static float SumOfLanes(Vec x) {
    return SumOfLanes8(_mm256_add_ps(_mm512_castps512_ps256(x), HighHalf(x)));
  }

  // kLanes elements, or one, as float32; uint16_t: bfloat16.
  static Vec LoadElements(const float* x) { return _mm512_loadu_ps(x); }
  static Vec LoadElements(const uint16_t* x) {
    const __m256i narrow = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(narrow), 16));
  }
  static float LoadElement(const float* x) { return *x; }
  static float LoadElement(const uint16_t* x) { return WidenBFloat16(*x); }

  // y = x · scale.
  template <typename Element>
  static void LoadScaled(const Element* x, int64_t count, float scale, float* y) {
    const Vec factor = Broadcast(scale);
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) Store(y + i, Mul(LoadElements(x + i), factor));
    for (; i < count; ++i) y[i] = LoadElement(x + i) * scale;
  }
  static void StoreScaled(const float* x, int64_t count, float scale, float* y) {
    LoadScaled(x, count, scale, y);
  }
  static void StoreScaled(const float* x, int64_t count, float scale, uint16_t* y) {
    const __m256 factor = _mm256_set1_ps(scale);
    int64_t i = 0;
    for (; i + 8 <= count; i += 8) {
      StoreBFloat16x8(y + i, _mm256_mul_ps(_mm256_loadu_ps(x + i), factor));
    }
    for (; i < count; ++i) y[i] = NarrowToBFloat16(x[i] * scale);
  }

  // Element d of key i, as float32, to panel[d * kPanel + i].
  template <typename Element>
  static void PackKeys(const Element* const* keys, int64_t count, float* panel) {
    for (int64_t key = 0; key < kPanel; key += 8) {
      TransposeKeys8(keys + key, count, panel + key, kPanel);
    }
  }

 private:
  static __m256 HighHalf(Vec x) {
    return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1));
  }
};

}  // namespace vlaserve::kernels::avx512_vnni
