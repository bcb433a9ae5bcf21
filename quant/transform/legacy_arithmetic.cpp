#include "quant/transform/legacy_arithmetic.h"

#include <algorithm>

#include <ATen/ATen.h>

namespace vlaserve {
namespace {

// Values that are searched at once: LibTorch takes one thread for so few, and packing runs one
// layer per thread already.
constexpr int64_t kSearchTile = int64_t{1} << 15;

}  // namespace

int64_t LegacyQmax(int64_t bits) { return (int64_t{1} << (bits - 1)) - 1; }

at::Tensor LegacyCodes(const at::Tensor& x, const at::Tensor& scale, int64_t bits) {
  const int64_t qmax = LegacyQmax(bits);
  return at::clamp(at::round(at::div(x, scale)), -qmax - 1, qmax);
}

LegacyWeightScales LegacySearchScales(const at::Tensor& w, int64_t bits) {
  const int64_t rows = w.size(0);
  const at::Tensor ratios = at::tensor({0.5F, 0.75F, 1.0F, 1.25F, 1.5F}).to(w.scalar_type());
  const at::Tensor base = at::div(at::amax(at::abs(w), 1), LegacyQmax(bits)).clamp_min(1e-8);
  const at::Tensor candidates = base.unsqueeze(1) / ratios.unsqueeze(0);  // [N, 5]

  LegacyWeightScales result{at::empty({rows}, w.options()), at::empty({rows}, at::kLong)};
  const int64_t tile = std::max<int64_t>(1, kSearchTile / w.size(1));
  for (int64_t first = 0; first < rows; first += tile) {
    const int64_t count = std::min(tile, rows - first);
    const at::Tensor values = w.narrow(0, first, count);
    const at::Tensor scales = candidates.narrow(0, first, count);
    at::Tensor errors = at::empty_like(scales);
    for (int64_t c = 0; c < scales.size(1); ++c) {
      const at::Tensor scale = scales.narrow(1, c, 1);
      const at::Tensor error = LegacyCodes(values, scale, bits).mul_(scale).sub_(values);
      errors.select(1, c).copy_(at::mean(error * error, at::IntArrayRef{1}));
    }
    const at::Tensor best = at::argmin(errors, 1);
    result.grid_index.narrow(0, first, count).copy_(best);
    result.scales.narrow(0, first, count)
        .copy_(at::gather(scales, 1, best.unsqueeze(1)).squeeze(1));
  }
  return result;
}

at::Tensor LegacyActivationScales(const at::Tensor& percentiles, int64_t bits,
                                  at::ScalarType dtype) {
  return at::clamp_min(at::div(percentiles, LegacyQmax(bits)), 1e-6).to(dtype);
}

}  // namespace vlaserve
