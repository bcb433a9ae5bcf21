// GELU in the tanh form, the same bits on every instruction set.
//
//   u = 2 sqrt(2/π) (g + 0.044715 g³);  gelu(g) = g / (1 + exp(-u))
//
// as float32 operations: z = -u = g · fma(g · g, -2 sqrt(2/π) · 0.044715, -2 sqrt(2/π)), held in
// [-30, 89]; n = rne(z / ln 2) by adding 1.5 · 2^23; r = z - n ln 2 by two fmas;
// exp(r) = 1 + (r + r² q(r)), q of degree 4 interpolating at the Chebyshev nodes (relative error
// 1.03e-8); exp(z) = exp(r) · 2^n, infinite from n = 128 on.
//
// Relative error ≤ (4 + 4 max(0, z)) · 2^-24 as long as z ≤ 88; beyond, |gelu| < 1e-37 and the
// result may be 0. NaN gives NaN, +Inf gives +Inf, -Inf gives NaN (not the limit 0: a value that is
// not finite must not vanish).
#pragma once

namespace vlaserve::kernels {

template <class V>
inline V Gelu(V g) {
  const V p = Fma(g * g, V::All(-0x1.2444f2p-4f), V::All(-0x1.988454p+0f));
  const V z = Min(Max(g * p, V::All(-30.0f)), V::All(89.0f));
  const V offset = V::All(0x1.8p23f);
  const V shifted = Fma(z, V::All(0x1.715476p+0f), offset);
  const V n = shifted - offset;
  V r = Fma(n, V::All(-0x1.62e43p-1f), z);
  r = Fma(n, V::All(0x1.05c61p-29f), r);
  V q = Fma(V::All(0x1.6d11fep-10f), r, V::All(0x1.120c62p-7f));
  q = Fma(q, r, V::All(0x1.555518p-5f));
  q = Fma(q, r, V::All(0x1.5554dcp-3f));
  q = Fma(q, r, V::All(0.5f));
  const V one = V::All(1);
  const V exponential = (one + Fma(r * r, q, r)) * PowerOfTwo(shifted);
  return g / (one + exponential);
}

}  // namespace vlaserve::kernels
