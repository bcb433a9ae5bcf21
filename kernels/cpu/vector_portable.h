// Sixteen float lanes in plain C++. The same operations, with the same bits, are in vector_avx2.h
// and vector_avx512.h; kernels written once are templates over the vector type. Each operation is
// one IEEE float32 operation per lane.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace vlaserve::kernels::portable {

struct LargestBits;
struct CodeSums;

struct Floats {
  using Largest = LargestBits;
  using Sums = CodeSums;
  static constexpr int64_t kLanes = 16;
  // Rows that a dense rotation takes at a time (activation_rotate.h).
  static constexpr int kRotatedRows = 4;

  float lane[kLanes];

  static Floats All(float value) {
    Floats result;
    for (float& x : result.lane) x = value;
    return result;
  }
  static Floats Load(const float* from) { return LoadFirst(from, kLanes); }
  // The first `count` ≤ 16 lanes, the others 0; nothing beyond is touched.
  static Floats LoadFirst(const float* from, int64_t count) {
    Floats result = All(0);
    for (int64_t i = 0; i < count; ++i) result.lane[i] = from[i];
    return result;
  }
  // bfloat16, widened.
  static Floats Load(const uint16_t* from) { return LoadFirst(from, kLanes); }
  static Floats LoadFirst(const uint16_t* from, int64_t count) {
    Floats result = All(0);
    for (int64_t i = 0; i < count; ++i) {
      result.lane[i] = std::bit_cast<float>(static_cast<uint32_t>(from[i]) << 16);
    }
    return result;
  }
  void Store(float* to) const { StoreFirst(to, kLanes); }
  void StoreFirst(float* to, int64_t count) const {
    for (int64_t i = 0; i < count; ++i) to[i] = lane[i];
  }

  // The others become 0.
  Floats First(int64_t count) const { return LoadFirst(lane, count); }
};

inline Floats operator+(Floats a, const Floats& b) {
  for (int i = 0; i < Floats::kLanes; ++i) a.lane[i] += b.lane[i];
  return a;
}
inline Floats operator-(Floats a, const Floats& b) {
  for (int i = 0; i < Floats::kLanes; ++i) a.lane[i] -= b.lane[i];
  return a;
}
inline Floats operator*(Floats a, const Floats& b) {
  for (int i = 0; i < Floats::kLanes; ++i) a.lane[i] *= b.lane[i];
  return a;
}
inline Floats operator/(Floats a, const Floats& b) {
  for (int i = 0; i < Floats::kLanes; ++i) a.lane[i] /= b.lane[i];
  return a;
}
// a · b + c, rounded once.
inline Floats Fma(const Floats& a, const Floats& b, Floats c) {
  for (int i = 0; i < Floats::kLanes; ++i) c.lane[i] = std::fma(a.lane[i], b.lane[i], c.lane[i]);
  return c;
}
// b where a is NaN.
inline Floats Min(Floats a, const Floats& b) {
  for (int i = 0; i < Floats::kLanes; ++i)
    a.lane[i] = a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i];
  return a;
}
inline Floats Max(Floats a, const Floats& b) {
  for (int i = 0; i < Floats::kLanes; ++i)
    a.lane[i] = a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i];
  return a;
}

// 2^n of an integer n in [-126, 128] (128: infinity), given as n + 1.5 · 2^23.
inline Floats PowerOfTwo(Floats shifted) {
  for (float& x : shifted.lane) x = std::bit_cast<float>((std::bit_cast<uint32_t>(x) + 127u) << 23);
  return shifted;
}

// One Hadamard stage within the vector: (a, b) → (a + b, a - b) for lanes (j, j + kHalf).
template <int kHalf>
Floats Butterflies(const Floats& x) {
  Floats result;
  for (int i = 0; i < Floats::kLanes; ++i) {
    result.lane[i] =
        (i & kHalf) == 0 ? x.lane[i] + x.lane[i + kHalf] : x.lane[i - kHalf] - x.lane[i];
  }
  return result;
}

// Halves added: lane i + lane i + 8, then + 4, + 2, + 1.
inline float SumOfLanes(Floats x) {
  for (int half = Floats::kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) x.lane[i] += x.lane[i + half];
  }
  return x.lane[0];
}

// Largest |x| per lane, as bits: NaN and infinity are above all numbers.
struct LargestBits {
  uint32_t lane[Floats::kLanes] = {};

  void Add(const Floats& x) {
    for (int i = 0; i < Floats::kLanes; ++i) {
      const uint32_t bits = std::bit_cast<uint32_t>(x.lane[i]) & 0x7FFFFFFFu;
      lane[i] = lane[i] > bits ? lane[i] : bits;
    }
  }
  uint32_t OfAllLanes() const {
    uint32_t largest = 0;
    for (const uint32_t bits : lane) largest = largest > bits ? largest : bits;
    return largest;
  }
};

// Σ codes of up to four rows.
struct CodeSums {
  int32_t row[4] = {};

  void Store(int32_t* sums) const {
    for (int r = 0; r < 4; ++r) sums[r] = row[r];
  }
};

// Codes rne(x) of kRows ≤ 4 rows and 16 columns, |x| ≤ 127. Four columns of all rows lie beside
// each other, 4 * kRows bytes; the next four follow quad_stride bytes later. If not `whole`, only
// the first eight columns are written; the others are 0 then.
template <int kRows>
void StoreCodes(const Floats* x, int8_t* to, int64_t quad_stride, bool whole, CodeSums& sums) {
  constexpr float kOffset = 0x1.8p23f;  // from here to 2^24 the floats are the integers
  for (int r = 0; r < kRows; ++r) {
    for (int64_t i = 0; i < (whole ? 16 : 8); ++i) {
      const uint32_t bits = std::bit_cast<uint32_t>(x[r].lane[i] + kOffset);
      const auto code = static_cast<int8_t>(bits - std::bit_cast<uint32_t>(kOffset));
      to[i / 4 * quad_stride + 4 * r + i % 4] = code;
      sums.row[r] += code;
    }
  }
}

}  // namespace vlaserve::kernels::portable
