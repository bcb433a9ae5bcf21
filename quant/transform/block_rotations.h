// Block-diagonal rotations as tensors, and products with them. Includes LibTorch.
//
// Products are computed in float32 and rounded once to the operands' dtype: for bfloat16 that is
// exact products, a float32 sum and one rounding, as openpi_duquant's matrix products in that
// dtype. Functions throw c10::Error for what LibTorch refuses.
//
// Thread-safety: immutable once made.
#pragma once

#include <cstdint>
#include <span>

#include <ATen/core/Tensor.h>

#include "quant/pack/packed_layer.h"

namespace vlaserve {

// a · b in a's dtype, by the rule above.
at::Tensor MatmulRoundedOnce(const at::Tensor& a, const at::Tensor& b);

// blockdiag(R_0, R_1, …) of a width; empty: the identity.
class BlockRotations {
 public:
  BlockRotations() = default;
  // `rotations`: row-major matrices one after the other as PackedLayer has them, one for all blocks
  // if `shared`; the last one is smaller if `block` does not divide `width`. Copied, rounded to
  // `dtype`.
  BlockRotations(std::span<const float> rotations, int64_t width, int64_t block, bool shared,
                 at::ScalarType dtype);

  bool empty() const { return width_ == 0; }
  // x [..., width] → x · blockdiag(R).
  at::Tensor ApplyToColumns(const at::Tensor& x) const;
  // w [width, n] → blockdiag(R) · w.
  at::Tensor ApplyToRows(const at::Tensor& w) const;

 private:
  int64_t width_ = 0;
  int64_t block_ = 0;
  int64_t blocks_ = 0;  // of full size
  at::Tensor full_;     // [blocks, block, block]
  at::Tensor last_;     // [rest, rest]; undefined: the block divides the width
};

// The rotations of a pack, Hadamard matrices written out.
BlockRotations InputRotations(const PackedLayer& pack, at::ScalarType dtype);
BlockRotations OutputRotations(const PackedLayer& pack, at::ScalarType dtype);

}  // namespace vlaserve
