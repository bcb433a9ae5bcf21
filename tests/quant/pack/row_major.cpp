#include "tests/quant/pack/row_major.h"

#include "kernels/panels.h"
#include "kernels/quantize.h"

namespace vlaserve {

RowMajorWeights RowMajor(const PackedLayer& pack) {
  const int64_t n = pack.out_features;
  const int64_t k = pack.in_features;
  RowMajorWeights weights{n, k, pack.storage_bits, pack.group, {}, {}};
  if (pack.layout == PackLayout::kRows) {
    weights.codes.assign(pack.codes.begin(), pack.codes.end());
    weights.scales.assign(pack.scales_fp16.begin(), pack.scales_fp16.end());
    return weights;
  }
  const int64_t groups = GroupCount(k, pack.group);
  weights.scales.resize(static_cast<size_t>(n * groups));
  kernels::UnpackPanelScales(pack.scales_fp16.data(), n, groups, weights.scales.data());

  const int64_t row_bytes = pack.storage_bits == 8 ? k : (k + 1) / 2;
  weights.codes.resize(static_cast<size_t>(n * row_bytes));
  std::vector<int8_t> row(static_cast<size_t>(k));
  for (int64_t i = 0; i < n; ++i) {
    uint8_t* const to = weights.codes.data() + i * row_bytes;
    int8_t* const codes = pack.storage_bits == 8 ? reinterpret_cast<int8_t*>(to) : row.data();
    kernels::UnpackPanelRow(pack.codes.data(), k, pack.storage_bits, i, codes);
    if (pack.storage_bits == 4) PackNibbles(codes, 1, k, to);
  }
  return weights;
}

}  // namespace vlaserve
