// How much memory a layer's pack will take: exact arithmetic, before anything is packed.
#pragma once

#include <cstdint>

#include "quant/select/select.h"

namespace vlaserve {

struct LayerBytes {
  int64_t bfloat16 = 0;  // the weight [N, K] as bfloat16
  int64_t packed = 0;    // all arrays of the pack (PackBytes); with a weight that stays, that too
};

// Biases are not counted: they stay as they are. A weight that stays (no weight bits, engine
// kTransformsOnly or kOff) counts as bfloat16.
LayerBytes BytesOf(const SelectedLayer& layer, Engine engine);

}  // namespace vlaserve
