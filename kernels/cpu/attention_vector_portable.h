// What attention (attention_run.h) needs, in plain C++.
#pragma once

#include <cstdint>

namespace vlaserve::kernels::portable {

struct AttentionVector {
  static constexpr int64_t kLanes = 8;
  struct Vec {
    float lanes[kLanes];
  };
  static constexpr int kRows = 3;
  static constexpr int kVectors = 1;
  static constexpr int64_t kPanel = kLanes * kVectors;
  static constexpr int64_t kKeyBlock = 128;
  static constexpr int64_t kValuePanels = 4;

  static Vec Zero() { return Vec{}; }
  static Vec Broadcast(float x) {
    return Each([x](int64_t) { return x; });
  }
  static Vec Load(const float* x) {
    return Each([x](int64_t i) { return x[i]; });
  }
  static void Store(float* y, const Vec& x) {
    for (int64_t i = 0; i < kLanes; ++i) y[i] = x.lanes[i];
  }
  static Vec Add(const Vec& a, const Vec& b) {
    return Each([&](int64_t i) { return a.lanes[i] + b.lanes[i]; });
  }
  static Vec Sub(const Vec& a, const Vec& b) {
    return Each([&](int64_t i) { return a.lanes[i] - b.lanes[i]; });
  }
  static Vec Mul(const Vec& a, const Vec& b) {
    return Each([&](int64_t i) { return a.lanes[i] * b.lanes[i]; });
  }
  // Rounds twice: many processors have no fused operation.
  static Vec Fma(const Vec& a, const Vec& b, const Vec& c) {
    return Each([&](int64_t i) { return a.lanes[i] * b.lanes[i] + c.lanes[i]; });
  }
  // b where a is NaN.
  static Vec Max(const Vec& a, const Vec& b) {
    return Each([&](int64_t i) { return a.lanes[i] > b.lanes[i] ? a.lanes[i] : b.lanes[i]; });
  }
  static Vec ZeroWhereBelow(const Vec& value, const Vec& x, const Vec& limit) {
    return Each([&](int64_t i) { return x.lanes[i] < limit.lanes[i] ? 0.0F : value.lanes[i]; });
  }
  // 2^(n - 127) where n is in the low 9 bits.
  static Vec PowerOfTwo(const Vec& bits) {
    return Each([&](int64_t i) {
      return __builtin_bit_cast(float, __builtin_bit_cast(uint32_t, bits.lanes[i]) << 23);
    });
  }
  static float FirstLane(const Vec& x) { return x.lanes[0]; }
  static float MaxOfLanes(const Vec& x) {
    float most = x.lanes[0];
    for (int64_t i = 1; i < kLanes; ++i) most = x.lanes[i] > most ? x.lanes[i] : most;
    return most;
  }
  static float SumOfLanes(const Vec& x) {
    float sum = 0;
    for (int64_t i = 0; i < kLanes; ++i) sum += x.lanes[i];
    return sum;
  }

  // kLanes elements, or one, as float32; uint16_t: bfloat16.
  template <typename Element>
  static Vec LoadElements(const Element* x) {
    return Each([x](int64_t i) { return LoadElement(x + i); });
  }
  static float LoadElement(const float* x) { return *x; }
  static float LoadElement(const uint16_t* x) {
    return __builtin_bit_cast(float, uint32_t{*x} << 16);
  }

  // y = x · scale.
  template <typename Element>
  static void LoadScaled(const Element* x, int64_t count, float scale, float* y) {
    for (int64_t i = 0; i < count; ++i) y[i] = LoadElement(x + i) * scale;
  }
  static void StoreScaled(const float* x, int64_t count, float scale, float* y) {
    LoadScaled(x, count, scale, y);
  }
  static void StoreScaled(const float* x, int64_t count, float scale, uint16_t* y) {
    for (int64_t i = 0; i < count; ++i) y[i] = NarrowToBFloat16(x[i] * scale);
  }

  // Element d of key i, as float32, to panel[d * kPanel + i].
  template <typename Element>
  static void PackKeys(const Element* const* keys, int64_t count, float* panel) {
    for (int64_t d = 0; d < count; ++d) {
      for (int64_t i = 0; i < kPanel; ++i) panel[d * kPanel + i] = LoadElement(keys[i] + d);
    }
  }

 private:
  template <typename F>
  static Vec Each(F&& lane) {
    Vec y;
    for (int64_t i = 0; i < kLanes; ++i) y.lanes[i] = lane(i);
    return y;
  }
  // Half to even.
  static uint16_t NarrowToBFloat16(float x) {
    const uint32_t bits = __builtin_bit_cast(uint32_t, x);
    if (x != x) return 0x7fc0;
    return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
  }
};

}  // namespace vlaserve::kernels::portable
