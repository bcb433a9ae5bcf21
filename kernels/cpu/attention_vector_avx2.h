// What attention (attention_run.h) needs of AVX2, FMA and F16C.
#pragma once

#include <cstdint>

#include <immintrin.h>

#include "kernels/cpu/attention_convert_avx2.h"

namespace vlaserve::kernels::avx2 {

struct AttentionVector {
  using Vec = __m256;
  static constexpr int64_t kLanes = 8;
  // A tile: 12 of the 16 registers hold sums.
  static constexpr int kRows = 6;
  static constexpr int kVectors = 2;
  static constexpr int64_t kPanel = kLanes * kVectors;
  static constexpr int64_t kKeyBlock = 128;
  static constexpr int64_t kValuePanels = 2;  // one cache line of bfloat16

  static Vec Zero() { return _mm256_setzero_ps(); }
  static Vec Broadcast(float x) { return _mm256_set1_ps(x); }
  static Vec Load(const float* x) { return _mm256_loadu_ps(x); }
  static void Store(float* y, Vec x) { _mm256_storeu_ps(y, x); }
  static Vec Add(Vec a, Vec b) { return _mm256_add_ps(a, b); }
  static Vec Sub(Vec a, Vec b) { return _mm256_sub_ps(a, b); }
  static Vec Mul(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
  static Vec Fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
  // b where a is NaN.
  static Vec Max(Vec a, Vec b) { return _mm256_max_ps(a, b); }
  static Vec ZeroWhereBelow(Vec value, Vec x, Vec limit) {
    return _mm256_and_ps(value, _mm256_cmp_ps(x, limit, _CMP_NLT_UQ));
  }
  // 2^(n - 127) where n is in the low 9 bits.
  static Vec PowerOfTwo(Vec bits) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(bits), 23));
  }
  static float FirstLane(Vec x) { return _mm256_cvtss_f32(x); }
  static float MaxOfLanes(Vec x) { return MaxOfLanes8(x); }
  static float SumOfLanes(Vec x) { return SumOfLanes8(x); }

  // kLanes elements, or one, as float32; uint16_t: bfloat16.
  static Vec LoadElements(const float* x) { return _mm256_loadu_ps(x); }
  static Vec LoadElements(const uint16_t* x) { return LoadBFloat16x8(x); }
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
    const Vec factor = Broadcast(scale);
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) StoreBFloat16x8(y + i, Mul(Load(x + i), factor));
    for (; i < count; ++i) y[i] = NarrowToBFloat16(x[i] * scale);
  }

  // Element d of key i, as float32, to panel[d * kPanel + i].
  template <typename Element>
  static void PackKeys(const Element* const* keys, int64_t count, float* panel) {
    for (int64_t key = 0; key < kPanel; key += 8) {
      TransposeKeys8(keys + key, count, panel + key, kPanel);
    }
  }
};

}  // namespace vlaserve::kernels::avx2
