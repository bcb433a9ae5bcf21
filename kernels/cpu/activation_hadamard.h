// Hadamard blocks of one row, bit for bit HadamardRows (kernels/transform.h): stages of ascending
// distance, then one multiplication.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/cpu/vector_columns.h"

namespace vlaserve::kernels {

namespace hadamard {

// Up to this many vectors stay in registers through their stages: 64 columns.
inline constexpr int kMostVectors = 4;

// Stages of distance 1 … kBlock / 2 inside one vector.
template <int kBlock, class V>
inline V StagesWithin(V x) {
  if constexpr (kBlock > 1) x = Butterflies<1>(x);
  if constexpr (kBlock > 2) x = Butterflies<2>(x);
  if constexpr (kBlock > 4) x = Butterflies<4>(x);
  if constexpr (kBlock > 8) x = Butterflies<8>(x);
  return x;
}

// kVectors vectors, `stride` floats apart: the stages inside each if kWithin, those between them,
// the factor if kLast (and what is `largest` then).
template <int kVectors, bool kWithin, bool kLast, class V>
inline void Pass(const float* from, float* to, int64_t stride, V factor,
                 typename V::Largest& largest) {
  V x[kVectors];
#pragma GCC unroll 4
  for (int i = 0; i < kVectors; ++i) {
    x[i] = V::Load(from + i * stride);
    if constexpr (kWithin) x[i] = StagesWithin<V::kLanes>(x[i]);
  }
#pragma GCC unroll 2
  for (int half = 1; half < kVectors; half *= 2) {
#pragma GCC unroll 4
    for (int i = 0; i < kVectors; ++i) {
      if ((i & half) != 0) continue;
      const V sum = x[i] + x[i + half];
      x[i + half] = x[i] - x[i + half];
      x[i] = sum;
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < kVectors; ++i) {
    if constexpr (kLast) {
      x[i] = x[i] * factor;
      largest.Add(x[i]);
    }
    x[i].Store(to + i * stride);
  }
}

template <int kBlock, class V>
inline void SmallBlocks(const float* from, float* to, int64_t columns, V factor,
                        typename V::Largest& largest) {
  ForEachVector<V>(columns, [&](int64_t c, auto lanes) {
    const V x = StagesWithin<kBlock>(lanes.Load(from + c)) * factor;
    largest.Add(x);
    lanes.Store(x, to + c);
  });
}

}  // namespace hadamard

// `block`: 2 … 256, divides `columns`. Writes to[0, columns); from == to is allowed.
template <class V>
inline void HadamardRow(const float* from, float* to, int64_t columns, int64_t block,
                        typename V::Largest& largest) {
  using hadamard::Pass;
  const V factor = V::All(static_cast<float>(1.0 / std::sqrt(static_cast<double>(block))));
  if (block == 2) return hadamard::SmallBlocks<2>(from, to, columns, factor, largest);
  if (block == 4) return hadamard::SmallBlocks<4>(from, to, columns, factor, largest);
  if (block == 8) return hadamard::SmallBlocks<8>(from, to, columns, factor, largest);
  if (block == 16) return hadamard::SmallBlocks<16>(from, to, columns, factor, largest);
  if (block == 32) {
    for (int64_t c = 0; c < columns; c += 32) {
      Pass<2, true, true>(from + c, to + c, V::kLanes, factor, largest);
    }
    return;
  }
  if (block == 64) {
    for (int64_t c = 0; c < columns; c += 64) {
      Pass<4, true, true>(from + c, to + c, V::kLanes, factor, largest);
    }
    return;
  }
  constexpr int64_t kStrip = hadamard::kMostVectors * V::kLanes;
  for (int64_t begin = 0; begin < columns; begin += block) {
    for (int64_t c = begin; c < begin + block; c += kStrip) {
      Pass<4, true, false>(from + c, to + c, V::kLanes, factor, largest);
    }
    for (int64_t c = begin; c < begin + kStrip; c += V::kLanes) {
      if (block == 128) {
        Pass<2, false, true>(to + c, to + c, kStrip, factor, largest);
      } else {
        Pass<4, false, true>(to + c, to + c, kStrip, factor, largest);
      }
    }
  }
}

}  // namespace vlaserve::kernels
