#include "quant/transform/block_rotations.h"

#include <vector>

#include <ATen/ATen.h>

#include "kernels/transform.h"

namespace vlaserve {
namespace {

at::Tensor Wide(const at::Tensor& x) { return x.to(at::kFloat); }

at::Tensor CopyOf(std::span<const float> values, at::IntArrayRef shape, at::ScalarType dtype) {
  const at::Tensor view =
      at::from_blob(const_cast<float*>(values.data()), shape, at::TensorOptions(at::kFloat));
  return view.to(dtype, /*non_blocking=*/false, /*copy=*/true);
}

}  // namespace

at::Tensor MatmulRoundedOnce(const at::Tensor& a, const at::Tensor& b) {
  return at::matmul(Wide(a), Wide(b)).to(a.scalar_type());
}

BlockRotations::BlockRotations(std::span<const float> rotations, int64_t width, int64_t block,
                               bool shared, at::ScalarType dtype)
    : width_(width), block_(block), blocks_(width / block) {
  const int64_t stored = shared && blocks_ > 0 ? 1 : blocks_;
  const int64_t rest = width % block;
  const auto full = static_cast<size_t>(stored * block * block);
  TORCH_CHECK(rotations.size() == full + static_cast<size_t>(rest * rest), "rotations of ",
              rotations.size(), " values do not fit ", width, " columns in blocks of ", block);
  if (blocks_ > 0) {
    full_ = CopyOf(rotations.first(full), {stored, block, block}, dtype)
                .expand({blocks_, block, block});
  }
  if (rest > 0) last_ = CopyOf(rotations.subspan(full), {rest, rest}, dtype);
}

at::Tensor BlockRotations::ApplyToColumns(const at::Tensor& x) const {
  if (empty()) return x;
  const at::Tensor rows = x.reshape({-1, width_});
  at::Tensor result = at::empty_like(rows, at::MemoryFormat::Contiguous);
  const int64_t full = blocks_ * block_;
  if (blocks_ > 0) {
    const at::Tensor blocks =
        rows.narrow(1, 0, full).reshape({-1, blocks_, block_}).transpose(0, 1);
    result.narrow(1, 0, full)
        .copy_(MatmulRoundedOnce(blocks, full_).transpose(0, 1).reshape({-1, full}));
  }
  if (last_.defined()) {
    result.narrow(1, full, width_ - full)
        .copy_(MatmulRoundedOnce(rows.narrow(1, full, width_ - full), last_));
  }
  return result.reshape(x.sizes());
}

at::Tensor BlockRotations::ApplyToRows(const at::Tensor& w) const {
  if (empty()) return w;
  const int64_t columns = w.size(1);
  const int64_t full = blocks_ * block_;
  at::Tensor result = at::empty_like(w, at::MemoryFormat::Contiguous);
  if (blocks_ > 0) {
    const at::Tensor blocks = w.narrow(0, 0, full).reshape({blocks_, block_, columns});
    result.narrow(0, 0, full).copy_(MatmulRoundedOnce(full_, blocks).reshape({full, columns}));
  }
  if (last_.defined()) {
    result.narrow(0, full, width_ - full)
        .copy_(MatmulRoundedOnce(last_, w.narrow(0, full, width_ - full)));
  }
  return result;
}

BlockRotations InputRotations(const PackedLayer& pack, at::ScalarType dtype) {
  switch (pack.rotate_in) {
    case RotateIn::kOff:
      return {};
    case RotateIn::kHadamard: {
      std::vector<float> hadamard(static_cast<size_t>(pack.block * pack.block), 0.0F);
      for (int64_t i = 0; i < pack.block; ++i) {
        hadamard[static_cast<size_t>(i * pack.block + i)] = 1;
      }
      HadamardRows(hadamard.data(), pack.block, pack.block, pack.block);
      return BlockRotations(hadamard, pack.in_features, pack.block, /*shared=*/true, dtype);
    }
    case RotateIn::kDuquantGreedy:
      return BlockRotations(pack.rotations, pack.in_features, pack.block, /*shared=*/true, dtype);
    case RotateIn::kWeightSvd:
    case RotateIn::kSvdHadamard:
      return BlockRotations(pack.rotations, pack.in_features, pack.block, /*shared=*/false, dtype);
  }
  return {};
}

BlockRotations OutputRotations(const PackedLayer& pack, at::ScalarType dtype) {
  if (pack.rotate_out == RotateOut::kOff) return {};
  return BlockRotations(pack.output_rotations, pack.out_features, pack.block_out, /*shared=*/false,
                        dtype);
}

}  // namespace vlaserve
