// Widens values to the float32 panels that attention multiplies with.
//
// V: the vector operations of one instruction set (attention_vector_*.h).
#pragma once

#include <cstdint>

namespace vlaserve::kernels {

// Columns [0, columns) of `keys` rows of values, in panels of [keys, V::kPanel] that are
// `panel_floats` apart. A panel's last vector is filled up with 0.
template <typename V, typename Element>
void PackAttentionValues(const Element* values, int64_t row_stride, int64_t keys, int64_t columns,
                         float* panels, int64_t panel_floats) {
  constexpr int64_t kColumns = V::kPanel * V::kValuePanels;
  if (columns == kColumns) {
    for (int64_t key = 0; key < keys; ++key) {
      const Element* source = values + key * row_stride;
      __builtin_prefetch(source + kColumns, 0, 2);  // the next columns, for L2
#pragma GCC unroll 8
      for (int64_t i = 0; i < kColumns; i += V::kLanes) {
        V::Store(panels + i / V::kPanel * panel_floats + i % V::kPanel + key * V::kPanel,
                 V::LoadElements(source + i));
      }
    }
    return;
  }
  for (int64_t key = 0; key < keys; ++key) {
    const Element* source = values + key * row_stride;
    for (int64_t i = 0; i < columns; i += V::kLanes) {
      float* panel = panels + i / V::kPanel * panel_floats + i % V::kPanel + key * V::kPanel;
      if (i + V::kLanes <= columns) {
        V::Store(panel, V::LoadElements(source + i));
        continue;
      }
      for (int64_t lane = 0; lane < V::kLanes; ++lane) {
        panel[lane] = i + lane < columns ? V::LoadElement(source + i + lane) : 0.0F;
      }
    }
  }
}

}  // namespace vlaserve::kernels
