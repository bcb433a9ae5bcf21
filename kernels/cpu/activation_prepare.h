// What comes before a rotation, row by row: widening, norm, smoothing. Formulas:
// kernels/activation_pass.h.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/activation_pass.h"
#include "kernels/cpu/vector_columns.h"

namespace vlaserve::kernels {

namespace prepare {

// y = ((x - mean) · inverse_deviation) …
struct RowNorm {
  float mean = 0;
  float inverse_deviation = 1;
};

template <class V, NormKind kNorm, class Element>
inline RowNorm NormOf(const Element* x, int64_t columns, float eps) {
  RowNorm norm;
  const auto count = static_cast<float>(columns);
  V squares = V::All(0);
  if constexpr (kNorm == NormKind::kRms) {
    ForEachVector<V>(columns, [&](int64_t c, auto lanes) {
      const V value = lanes.Load(x + c);
      squares = Fma(value, value, squares);
    });
  } else {
    V sum = V::All(0);
    ForEachVector<V>(columns, [&](int64_t c, auto lanes) { sum = sum + lanes.Load(x + c); });
    norm.mean = SumOfLanes(sum) / count;
    const V mean = V::All(norm.mean);
    ForEachVector<V>(columns, [&](int64_t c, auto lanes) {
      const V difference = lanes.Keep(lanes.Load(x + c) - mean);
      squares = Fma(difference, difference, squares);
    });
  }
  norm.inverse_deviation = 1.0f / std::sqrt(SumOfLanes(squares) / count + eps);
  return norm;
}

// Columns [begin, begin + size) of row m.
template <class V, NormKind kNorm, class Element>
inline void Columns(const ActivationPass& pass, const RowNorm& norm, int64_t columns, int64_t m,
                    int64_t begin, int64_t size, float* to, typename V::Largest& largest) {
  const Element* const x = static_cast<const Element*>(pass.x) + m * pass.stride + begin;
  const int64_t offset = m / pass.rows_per_factor * columns + begin;
  const float* factor = nullptr;
  const float* shift = nullptr;
  const float* smooth = nullptr;
  if (kNorm != NormKind::kNone && pass.factor != nullptr) factor = pass.factor + offset;
  if (kNorm != NormKind::kNone && pass.shift != nullptr) shift = pass.shift + offset;
  if (pass.inverse_smooth != nullptr) smooth = pass.inverse_smooth + begin;
  const V mean = V::All(norm.mean);
  const V inverse_deviation = V::All(norm.inverse_deviation);
  typename V::Largest found = largest;  // a copy stays in registers
  ForEachVector<V>(size, [&](int64_t c, auto lanes) {
    V y = lanes.Load(x + c);
    if constexpr (kNorm == NormKind::kLayer) y = lanes.Keep(y - mean);
    if constexpr (kNorm != NormKind::kNone) y = y * inverse_deviation;
    if (factor != nullptr) y = y * lanes.Load(factor + c);
    if (shift != nullptr) y = y + lanes.Load(shift + c);
    if (smooth != nullptr) y = y * lanes.Load(smooth + c);
    found.Add(y);
    lanes.Store(y, to + c);
  });
  largest = found;
}

template <class V, class Element>
inline RowNorm NormOfRow(const ActivationPass& pass, int64_t columns, int64_t m) {
  const Element* const x = static_cast<const Element*>(pass.x) + m * pass.stride;
  switch (pass.norm) {
    case NormKind::kNone:
      break;
    case NormKind::kRms:
      return NormOf<V, NormKind::kRms>(x, columns, pass.eps);
    case NormKind::kLayer:
      return NormOf<V, NormKind::kLayer>(x, columns, pass.eps);
  }
  return {};
}

template <class V, class Element>
inline void ColumnsOfType(const ActivationPass& pass, const RowNorm& norm, int64_t columns,
                          int64_t m, int64_t begin, int64_t size, float* to,
                          typename V::Largest& largest) {
  switch (pass.norm) {
    case NormKind::kNone:
      return Columns<V, NormKind::kNone, Element>(pass, norm, columns, m, begin, size, to, largest);
    case NormKind::kRms:
      return Columns<V, NormKind::kRms, Element>(pass, norm, columns, m, begin, size, to, largest);
    case NormKind::kLayer:
      return Columns<V, NormKind::kLayer, Element>(pass, norm, columns, m, begin, size, to,
                                                   largest);
  }
}

}  // namespace prepare

// Whether rows of x are not yet what is rotated or quantized.
inline __attribute__((always_inline)) bool NeedsPreparing(const ActivationPass& pass) {
  return pass.type != ElementType::kFloat32 || pass.norm != NormKind::kNone ||
         pass.inverse_smooth != nullptr;
}

// What the norm of row m multiplies and subtracts.
template <class V>
inline prepare::RowNorm NormOfRow(const ActivationPass& pass, int64_t columns, int64_t m) {
  return pass.type == ElementType::kBFloat16 ? prepare::NormOfRow<V, uint16_t>(pass, columns, m)
                                             : prepare::NormOfRow<V, float>(pass, columns, m);
}

// Columns [begin, begin + size) of row m, widened, normalized and smoothed, to to[0, size).
template <class V>
inline void PrepareColumns(const ActivationPass& pass, const prepare::RowNorm& norm,
                           int64_t columns, int64_t m, int64_t begin, int64_t size, float* to,
                           typename V::Largest& largest) {
  if (pass.type == ElementType::kBFloat16) {
    prepare::ColumnsOfType<V, uint16_t>(pass, norm, columns, m, begin, size, to, largest);
  } else {
    prepare::ColumnsOfType<V, float>(pass, norm, columns, m, begin, size, to, largest);
  }
}

}  // namespace vlaserve::kernels
