#include "tests/kernels/gemm_data.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "kernels/quantize.h"
#include "tests/kernels/random_values.h"

namespace vlaserve {
namespace {

// Runs of the extreme codes, so that long sums of one sign occur.
std::vector<int8_t> ExtremeCodes(uint32_t seed, int64_t count, int8_t low, int8_t high) {
  std::mt19937 bits(seed);
  std::vector<int8_t> codes(At(count));
  int8_t code = high;
  for (int8_t& c : codes) {
    if (bits() % 200 == 0) code = bits() % 2 == 0 ? low : high;
    c = code;
  }
  return codes;
}

}  // namespace

WeightData::WeightData(const LayerShape& of, Codes kind, uint32_t seed) : shape(of) {
  const int64_t count = shape.out_features * shape.in_features;
  const int low = shape.bits == 4 ? -8 : -128;
  const int high = shape.bits == 4 ? 7 : 127;
  codes = kind == Codes::kRandom
              ? RandomCodes(seed, count, low, high)
              : ExtremeCodes(seed, count, static_cast<int8_t>(low), static_cast<int8_t>(high));
  stored.assign(codes.begin(), codes.end());
  if (shape.bits == 4) {
    stored.resize(At(shape.out_features * ((shape.in_features + 1) / 2)));
    PackNibbles(codes.data(), shape.out_features, shape.in_features, stored.data());
  }
  const int64_t groups = GroupCount(shape.in_features, shape.weight_group);
  for (const float scale : RandomFloats(seed + 1, shape.out_features * groups)) {
    scales.push_back(Fp16FromFloat(std::abs(scale) * 0.01f));
  }
  bias = RandomFloats(seed + 2, shape.out_features);
}

std::vector<float> WeightData::Linear(const IntActivations& x, bool with_bias) const {
  const IntWeights weights = {shape.out_features, shape.in_features, shape.bits,
                              shape.weight_group, stored.data(),     scales.data()};
  std::vector<float> y(At(x.rows * shape.out_features));
  IntLinear(x, weights, with_bias ? bias.data() : nullptr, 0, shape.out_features, y.data());
  return y;
}

IntActivations MakeActivations(const LayerShape& shape, Codes kind, uint32_t seed) {
  IntActivations x;
  x.rows = shape.rows;
  x.columns = shape.in_features;
  x.group = shape.activation_group;
  const int64_t count = x.rows * x.columns;
  x.codes = kind == Codes::kRandom ? RandomCodes(seed, count, -127, 127)
                                   : ExtremeCodes(seed, count, -127, 127);
  x.scales = RandomFloats(seed + 1, x.rows * GroupCount(x.columns, x.group));
  for (float& scale : x.scales) scale = std::abs(scale) * 0.01f;
  return x;
}

GuardedWeights::GuardedWeights(const WeightData& data, Guard guard)
    : codes_(kernels::PanelCount(data.shape.out_features) *
                 kernels::PanelCodeBytes(data.shape.in_features, data.shape.bits),
             guard, 64),
      scales_(kernels::PanelCount(data.shape.out_features) * kernels::kPanelColumns *
                  GroupCount(data.shape.in_features, data.shape.weight_group),
              guard, 64),
      bias_(data.shape.out_features, guard) {
  const LayerShape& shape = data.shape;
  kernels::PackPanels(data.codes.data(), shape.out_features, shape.in_features, shape.bits,
                      codes_.data());
  kernels::PackPanelScales(data.scales.data(), shape.out_features,
                           GroupCount(shape.in_features, shape.weight_group), scales_.data());
  std::copy(data.bias.begin(), data.bias.end(), bias_.data());
  view_ = {shape.out_features, shape.in_features, shape.bits,
           shape.weight_group, codes_.data(),     scales_.data()};
}

GuardedActivations::GuardedActivations(const IntActivations& x, int64_t step, int64_t max_rows,
                                       Guard guard)
    : codes_(x.rows * kernels::PaddedDepth(x.columns), guard, 64),
      scales_(x.rows * GroupCount(x.columns, x.group), guard),
      sums_(x.rows * GroupCount(x.columns, step), guard) {
  view_ = {x.rows, x.columns, x.group, step, max_rows, codes_.data(), scales_.data(), sums_.data()};
  std::copy(x.scales.begin(), x.scales.end(), scales_.data());
  std::fill_n(codes_.data(), codes_.size(), int8_t{0});
  std::fill_n(sums_.data(), sums_.size(), 0);
  const int64_t depth = kernels::PaddedDepth(x.columns);
  const int64_t steps = GroupCount(x.columns, step);
  const kernels::RowBlocks blocks = view_.blocks();
  for (int64_t b = 0; b < blocks.count(); ++b) {
    for (int64_t r = 0; r < blocks.size(b); ++r) {
      const int64_t m = blocks.begin(b) + r;
      for (int64_t k = 0; k < x.columns; ++k) {
        const int8_t code = x.codes[At(m * x.columns + k)];
        codes_[At(blocks.begin(b) * depth + (k / 4 * blocks.size(b) + r) * 4 + k % 4)] = code;
        sums_[At(m * steps + k / step)] += code;
      }
    }
  }
}

}  // namespace vlaserve
