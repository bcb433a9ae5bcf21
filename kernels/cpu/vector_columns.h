// Walks over the columns of a row by whole vectors, then by what is left of one.
#pragma once

#include <cstdint>

namespace vlaserve::kernels {

template <class V>
struct WholeVector {
  static constexpr bool kWhole = true;

  template <class Element>
  V Load(const Element* from) const {
    return V::Load(from);
  }
  void Store(V x, float* to) const { x.Store(to); }
  V Keep(V x) const { return x; }
};

// Touches `count` columns only; lanes beyond are loaded and kept as 0.
template <class V>
struct PartOfVector {
  static constexpr bool kWhole = false;
  int64_t count;

  template <class Element>
  V Load(const Element* from) const {
    return V::LoadFirst(from, count);
  }
  void Store(V x, float* to) const { x.StoreFirst(to, count); }
  V Keep(V x) const { return x.First(count); }
};

// function(c, lanes) for c = 0, 16, 32 … below `columns`.
template <class V, class Function>
inline __attribute__((always_inline)) void ForEachVector(int64_t columns, Function function) {
  int64_t c = 0;
  for (; c + V::kLanes <= columns; c += V::kLanes) function(c, WholeVector<V>{});
  if (c < columns) function(c, PartOfVector<V>{columns - c});
}

}  // namespace vlaserve::kernels
