#include "quant/report/weight_error.h"

#include <algorithm>
#include <span>

#include <ATen/ops/from_blob.h>
#include <ATen/ops/mul.h>

#include "quant/engine/activations.h"
#include "quant/engine/fake_engine.h"
#include "quant/engine/float_linear.h"
#include "quant/engine/legacy_engine.h"

namespace vlaserve {
namespace {

std::span<const float> Values(const at::Tensor& rows) {
  return {rows.const_data_ptr<float>(), static_cast<size_t>(rows.numel())};
}

// W · smooth², so that what divides x by smooth gives W · smooth.
at::Tensor SmoothedTwice(const at::Tensor& rows, const PackedLayer& pack) {
  if (pack.smooth.empty()) return rows;
  const at::Tensor smooth =
      at::from_blob(const_cast<float*>(pack.smooth.data()), {pack.in_features}, at::kFloat);
  return at::mul(at::mul(rows, smooth), smooth);
}

// The rows of the transformed weight with the rotation of the output undone: Routᵀ · W.
at::Tensor WithoutOutputRotation(const ActivationTransform& transform, const at::Tensor& weight) {
  at::Tensor columns = weight.t().contiguous();
  transform.RestoreOutput(columns);
  return columns.t().contiguous();
}

}  // namespace

ErrorSums WeightErrors(const PackedLayer& pack, const at::Tensor& weight) {
  ErrorSums sums;
  const ActivationTransform transform(pack);
  const int64_t rows = pack.out_features;
  // In bands where rows stand for themselves: a large layer would need gigabytes at once.
  constexpr int64_t kBand = 512;
  const bool is_legacy = pack.arithmetic != PackArithmetic::kInteger;
  const bool whole = transform.restores_output() || is_legacy;
  const int64_t band = whole ? rows : kBand;
  for (int64_t begin = 0; begin < rows; begin += band) {
    const int64_t end = std::min(rows, begin + band);
    const at::Tensor stored = FloatRows(weight.narrow(0, begin, end - begin));
    if (pack.codes.empty()) {
      sums.Add(Values(stored), Values(stored));
      continue;
    }
    const at::Tensor reference = transform.Apply(SmoothedTwice(stored, pack));
    at::Tensor quantized =
        is_legacy ? FloatRows(DequantizedLegacyWeight(pack)) : DequantizeWeights(pack, begin, end);
    if (transform.restores_output()) quantized = WithoutOutputRotation(transform, quantized);
    sums.Add(Values(quantized), Values(reference));
  }
  return sums;
}

}  // namespace vlaserve
