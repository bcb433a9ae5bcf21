// The softmax of attention over one block of keys, for keys that come in several blocks: each row
// keeps its maximum and its sum so far (the online form: Milakov, Gimelshein, arXiv 1805.02867).
//
// V: the vector operations of one instruction set (attention_vector_*.h).
#pragma once

#include <cstdint>

namespace vlaserve::kernels {

// exp(x) for x ≤ 0, 0 below -87; NaN for NaN. With n = x / ln 2, rounded, exp(x) = 2^n exp(x - n ln
// 2), the latter by a polynomial (Remez, error 7.5e-8 on ±ln 2 / 2).
template <typename V>
typename V::Vec AttentionExp(typename V::Vec x) {
  using Vec = typename V::Vec;
  // Adding 1.5 · 2^23 rounds to an integer, in the low bits; 127 more makes them 2^n's exponent.
  const Vec shift = V::Broadcast(12582912.0F + 127.0F);
  const Vec shifted = V::Fma(x, V::Broadcast(0x1.715476p+0F), shift);
  const Vec n = V::Sub(shifted, shift);
  const Vec r = V::Fma(n, V::Broadcast(-0x1.62e430p-1F), x);
  Vec p = V::Broadcast(0x1.0fe5b6p-7F);
  p = V::Fma(p, r, V::Broadcast(0x1.575f10p-5F));
  p = V::Fma(p, r, V::Broadcast(0x1.555a18p-3F));
  p = V::Fma(p, r, V::Broadcast(0x1.fffd1ap-2F));
  p = V::Fma(p, r, V::Broadcast(0x1.fffff6p-1F));
  p = V::Fma(p, r, V::Broadcast(0x1.000002p+0F));
  return V::ZeroWhereBelow(V::Mul(p, V::PowerOfTwo(shifted)), x, V::Broadcast(-87.0F));
}

// Of all keys of a row so far.
struct AttentionRowState {
  float maximum = 0;
  float sum = 0;
};

// Adds the bias (float, or uint16_t for bfloat16; null: none) to a row of logits and returns their
// maximum. Lanes behind the last key get -inf.
template <typename V, typename Bias>
float AttentionBiasAndMaximum(float* logits, int64_t keys, const Bias* bias) {
  using Vec = typename V::Vec;
  const int64_t whole = keys / V::kLanes * V::kLanes;
  Vec maximum = V::Broadcast(-__builtin_inff());
  if (bias == nullptr) {
    for (int64_t key = 0; key < whole; key += V::kLanes) {
      maximum = V::Max(V::Load(logits + key), maximum);
    }
  } else {
    for (int64_t key = 0; key < whole; key += V::kLanes) {
      const Vec sum = V::Add(V::Load(logits + key), V::LoadElements(bias + key));
      V::Store(logits + key, sum);
      maximum = V::Max(sum, maximum);
    }
  }
  if (whole == keys) return V::MaxOfLanes(maximum);
  for (int64_t key = whole; key < whole + V::kLanes; ++key) {
    if (key >= keys) {
      logits[key] = -__builtin_inff();
    } else if (bias != nullptr) {
      logits[key] += V::LoadElement(bias + key);
    }
  }
  return V::MaxOfLanes(V::Max(V::Load(logits + whole), maximum));
}

// Over one block of keys: logits become exp(logit + bias - maximum), and 0 up to a whole vector.
// Returns the factor for what was summed up over earlier blocks.
template <typename V, typename Bias>
float AttentionSoftmax(float* logits, int64_t keys, const Bias* bias, AttentionRowState& state) {
  using Vec = typename V::Vec;
  const float block_maximum = AttentionBiasAndMaximum<V>(logits, keys, bias);
  const float maximum = block_maximum > state.maximum ? block_maximum : state.maximum;
  // All -inf so far: with any finite number, exp(-inf - it) is zero.
  const Vec base = V::Broadcast(maximum == -__builtin_inff() ? 0.0F : maximum);
  Vec sums[2] = {V::Zero(), V::Zero()};
  int64_t key = 0;
  for (; key + V::kLanes < keys; key += 2 * V::kLanes) {
    const Vec first = AttentionExp<V>(V::Sub(V::Load(logits + key), base));
    const Vec second = AttentionExp<V>(V::Sub(V::Load(logits + key + V::kLanes), base));
    V::Store(logits + key, first);
    V::Store(logits + key + V::kLanes, second);
    sums[0] = V::Add(sums[0], first);
    sums[1] = V::Add(sums[1], second);
  }
  if (key < keys) {
    const Vec last = AttentionExp<V>(V::Sub(V::Load(logits + key), base));
    V::Store(logits + key, last);
    sums[0] = V::Add(sums[0], last);
  }
  const float factor = V::FirstLane(AttentionExp<V>(V::Sub(V::Broadcast(state.maximum), base)));
  state.maximum = maximum;
  state.sum = state.sum * factor + V::SumOfLanes(V::Add(sums[0], sums[1]));
  return factor;
}

}  // namespace vlaserve::kernels
