// An integer pack's codes and scales row by row, whatever its layout: what the oracle of the
// integer arithmetic reads (kernels/int_linear.h). For tests and checks; engines read packs as they
// lie.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/int_linear.h"
#include "quant/pack/packed_layer.h"

namespace vlaserve {

// A copy in its own memory. N = out, K = in.
struct RowMajorWeights {
  int64_t out_features = 0;
  int64_t in_features = 0;
  int64_t bits = 4;
  int64_t group = 0;
  std::vector<uint8_t> codes;  // 4 bits: nibbles [N, ceil(K/2)], the low one first; 8: int8 [N, K]
  std::vector<uint16_t> scales;  // fp16 [N, G]

  // Valid until *this changes.
  IntWeights View() const {
    return {out_features, in_features, bits, group, codes.data(), scales.data()};
  }
};

// Precondition: quantized weights of PackArithmetic::kInteger.
RowMajorWeights RowMajor(const PackedLayer& pack);

}  // namespace vlaserve
