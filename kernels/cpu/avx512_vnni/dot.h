// Σ weights · activations of a row block and a panel with vpdpbusd: the loop that all time goes to.
//
// The instruction multiplies unsigned by signed bytes, which is how the codes lie (panels.h): 4-bit
// codes need a shift and a mask, 8-bit codes nothing. Sums of the bias, Σ bias · x, are subtracted
// before the loop begins, so nothing is left to do after it.
#pragma once

#include <cstdint>

#include <immintrin.h>

#include "kernels/panels.h"

#define VLASERVE_ALWAYS_INLINE inline __attribute__((always_inline))

namespace vlaserve::kernels::avx512_vnni {

inline constexpr int64_t kHalf = 16;  // output features in a register; a panel has two halves

#if defined(VLASERVE_EMULATE_AVX512)

VLASERVE_ALWAYS_INLINE void MultiplyAdd(__m512i& sum, __m512i weights, __m512i inputs) {
  sum = _mm512_dpbusd_epi32(sum, weights, inputs);
}

VLASERVE_ALWAYS_INLINE __m512i Broadcast(const int8_t* four) {
  int32_t value = 0;
  __builtin_memcpy(&value, four, sizeof(value));
  return _mm512_set1_epi32(value);
}

#else

// Inline assembly, because g++ 12 copies the accumulators around the intrinsics, and spills them.
VLASERVE_ALWAYS_INLINE void MultiplyAdd(__m512i& sum, __m512i weights, __m512i inputs) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(weights), "v"(inputs));
}

VLASERVE_ALWAYS_INLINE __m512i Broadcast(const int8_t* four) {
  struct Four {
    int8_t bytes[4];
  };
  __m512i value;
  asm("vpbroadcastd %1, %0" : "=v"(value) : "m"(*reinterpret_cast<const Four*>(four)));
  return value;
}

#endif

// Accumulators of kRows rows and a panel.
template <int kRows>
struct Sums {
  __m512i of[kRows][2];
};

// The sums at the beginning of a step: -bias · Σ x. `sums`: Σ x of row r at sums[r * stride].
template <int kRows, int kBits>
VLASERVE_ALWAYS_INLINE void BeginSums(const int32_t* sums, int64_t stride, Sums<kRows>& acc) {
  constexpr unsigned kShift = kBits == 4 ? 3 : 7;
  static_assert(CodeBias(kBits) == 1 << kShift);
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    const __m512i sum = _mm512_set1_epi32(sums[r * stride]);
    acc.of[r][0] = _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32(sum, kShift));
    acc.of[r][1] = acc.of[r][0];
  }
}

template <int kRows>
VLASERVE_ALWAYS_INLINE void AddFour(const int8_t* x, __m512i first, __m512i second,
                                    Sums<kRows>& acc) {
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    const __m512i inputs = Broadcast(x + 4 * r);
    MultiplyAdd(acc.of[r][0], first, inputs);
    MultiplyAdd(acc.of[r][1], second, inputs);
  }
}

// Adds `columns` inputs (a multiple of kPanelDepth, not 0). `x`: the row block from the first of
// them on, [columns / 4][kRows][4]; `codes`: the panel from there on.
template <int kRows, int kBits>
VLASERVE_ALWAYS_INLINE void AddColumns(const int8_t* x, const uint8_t* codes, int64_t columns,
                                       Sums<kRows>& acc) {
  // Bytes of codes that are on their way from L2 or memory while others are used.
  constexpr int64_t kAhead = 896;
  constexpr int64_t kBytes = kPanelColumns * kPanelDepth * kBits / 8;
  const uint8_t* const end = codes + columns / kPanelDepth * kBytes;
  do {
    const __m512i first = _mm512_load_si512(codes);
    const __m512i second = _mm512_load_si512(codes + 64);
    _mm_prefetch(reinterpret_cast<const char*>(codes + kAhead), _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(codes + kAhead + 64), _MM_HINT_T0);
    if constexpr (kBits == 4) {
      const __m512i low = _mm512_set1_epi8(15);
      AddFour<kRows>(x, _mm512_and_si512(first, low), _mm512_and_si512(second, low), acc);
      // Read again rather than kept: all registers are taken.
      AddFour<kRows>(
          x + 4 * kRows, _mm512_and_si512(_mm512_srli_epi32(_mm512_load_si512(codes), 4), low),
          _mm512_and_si512(_mm512_srli_epi32(_mm512_load_si512(codes + 64), 4), low), acc);
    } else {
      AddFour<kRows>(x, first, second, acc);
      _mm_prefetch(reinterpret_cast<const char*>(codes + kAhead + 128), _MM_HINT_T0);
      _mm_prefetch(reinterpret_cast<const char*>(codes + kAhead + 192), _MM_HINT_T0);
      AddFour<kRows>(x + 4 * kRows, _mm512_load_si512(codes + 128), _mm512_load_si512(codes + 192),
                     acc);
    }
    codes += kBytes;
    x += kPanelDepth * kRows;
  } while (codes != end);
}

}  // namespace vlaserve::kernels::avx512_vnni
