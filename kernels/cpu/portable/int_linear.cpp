#include "kernels/int_linear.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/portable/target.h"
#include "kernels/quantize.h"

namespace vlaserve {
namespace {

constexpr int kTile = 4;                            // output features computed together
constexpr int64_t kBlockValues = int64_t{1} << 17;  // activations widened at a time: 256 KiB

// The columns of one step and which scale of the other side belongs to it.
struct Steps {
  int64_t columns = 0;
  int64_t width = 0;
  int64_t count = 0;
  int64_t weight_group = 0;  // steps per weight scale
  int64_t input_group = 0;   // steps per activation scale
  bool per_row = false;
  bool per_token = false;
};

Steps StepsOf(const IntActivations& x, const IntWeights& weights) {
  const int64_t columns = x.columns;
  const auto width_of = [columns](int64_t group) {
    return GroupCount(columns, group) == 1 ? columns : group;
  };
  const int64_t weight_width = width_of(weights.group);
  const int64_t input_width = width_of(x.group);
  Steps steps;
  steps.columns = columns;
  steps.width = std::min(weight_width, input_width);
  steps.count = (columns + steps.width - 1) / steps.width;
  steps.weight_group = (weight_width + steps.width - 1) / steps.width;
  steps.input_group = (input_width + steps.width - 1) / steps.width;
  steps.per_row = weights.group <= 0;
  steps.per_token = x.group <= 0;
  return steps;
}

// Four output features: codes [kTile, columns], scales [kTile, scale_count].
struct WeightTile {
  const int16_t* codes = nullptr;
  const float* scales = nullptr;
  int64_t scale_count = 0;
  const float* bias = nullptr;  // [kTile] or null
};

// One activation row: codes [columns], scales.
struct InputRow {
  const int16_t* codes = nullptr;
  const float* scales = nullptr;
};

VLASERVE_INLINE_BODY void TileBody(const Steps& steps, const WeightTile& tile, const InputRow& x,
                                   float* y) {
  float sums[kTile] = {};
  const int16_t* const w0 = tile.codes;
  const int16_t* const w1 = w0 + steps.columns;
  const int16_t* const w2 = w1 + steps.columns;
  const int16_t* const w3 = w2 + steps.columns;
  for (int64_t step = 0; step < steps.count; ++step) {
    const int64_t begin = step * steps.width;
    const int64_t end = std::min(begin + steps.width, steps.columns);
    int32_t a0 = 0;
    int32_t a1 = 0;
    int32_t a2 = 0;
    int32_t a3 = 0;
    for (int64_t c = begin; c < end; ++c) {
      a0 += x.codes[c] * w0[c];
      a1 += x.codes[c] * w1[c];
      a2 += x.codes[c] * w2[c];
      a3 += x.codes[c] * w3[c];
    }
    const float accumulators[kTile] = {static_cast<float>(a0), static_cast<float>(a1),
                                       static_cast<float>(a2), static_cast<float>(a3)};
    const float* const weight_scales = tile.scales + step / steps.weight_group;
    const float input_scale = x.scales[step / steps.input_group];
    for (int n = 0; n < kTile; ++n) {
      const float weight_scale = weight_scales[n * tile.scale_count];
      const float scale = steps.per_token ? weight_scale
                          : steps.per_row ? input_scale
                                          : input_scale * weight_scale;
      sums[n] = std::fma(accumulators[n], scale, sums[n]);
    }
  }
  for (int n = 0; n < kTile; ++n) {
    const bool scaled = steps.per_token || steps.per_row;
    const float scale = steps.per_token ? x.scales[0] : tile.scales[n * tile.scale_count];
    if (tile.bias == nullptr) {
      y[n] = scaled ? sums[n] * scale : sums[n];
    } else {
      y[n] = scaled ? std::fma(sums[n], scale, tile.bias[n]) : sums[n] + tile.bias[n];
    }
  }
}

void TileAnyCpu(const Steps& steps, const WeightTile& tile, const InputRow& x, float* y) {
  TileBody(steps, tile, x, y);
}

VLASERVE_AVX2 void TileAvx2(const Steps& steps, const WeightTile& tile, const InputRow& x,
                            float* y) {
  TileBody(steps, tile, x, y);
}

// Rows [n, n + kTile) of the weight, widened; rows beyond n_end are zeros.
class TileReader {
 public:
  TileReader(const IntWeights& weights, const float* bias)
      : weights_(weights),
        bias_(bias),
        groups_(GroupCount(weights.in_features, weights.group)),
        narrow_(static_cast<size_t>(weights.in_features)),
        codes_(static_cast<size_t>(kTile * weights.in_features)),
        scales_(static_cast<size_t>(kTile * groups_)),
        tile_bias_(kTile) {}

  WeightTile Read(int64_t n, int64_t n_end) {
    const int64_t columns = weights_.in_features;
    for (int64_t i = 0; i < std::min<int64_t>(kTile, n_end - n); ++i) {
      const int8_t* codes = Narrow(n + i);
      std::copy_n(codes, columns, codes_.begin() + i * columns);
      std::transform(weights_.scales + (n + i) * groups_, weights_.scales + (n + i + 1) * groups_,
                     scales_.begin() + i * groups_, FloatFromFp16);
      if (bias_ != nullptr) tile_bias_[static_cast<size_t>(i)] = bias_[n + i];
    }
    return {codes_.data(), scales_.data(), groups_, bias_ == nullptr ? nullptr : tile_bias_.data()};
  }

  // The codes of one row as int8, valid until the next call.
  const int8_t* Narrow(int64_t n) {
    const int64_t columns = weights_.in_features;
    if (weights_.bits == 8) return reinterpret_cast<const int8_t*>(weights_.codes) + n * columns;
    UnpackNibbles(weights_.codes + n * ((columns + 1) / 2), 1, columns, narrow_.data());
    return narrow_.data();
  }

 private:
  const IntWeights& weights_;
  const float* bias_;
  int64_t groups_;
  std::vector<int8_t> narrow_;
  std::vector<int16_t> codes_;
  std::vector<float> scales_;
  std::vector<float> tile_bias_;
};

}  // namespace

void IntLinear(const IntActivations& x, const IntWeights& weights, const float* bias,
               int64_t n_begin, int64_t n_end, float* y) {
  const auto compute = kernels::CpuHasAvx2() ? TileAvx2 : TileAnyCpu;
  const Steps steps = StepsOf(x, weights);
  const int64_t columns = x.columns;
  const int64_t input_groups = GroupCount(columns, x.group);
  // A block of activations and a tile of weights stay in the cache together.
  const int64_t block = std::clamp<int64_t>(kBlockValues / columns, 8, 64);
  std::vector<int16_t> codes(static_cast<size_t>(std::min(block, x.rows) * columns));
  TileReader reader(weights, bias);
  for (int64_t m_begin = 0; m_begin < x.rows; m_begin += block) {
    const int64_t m_end = std::min(m_begin + block, x.rows);
    std::copy(x.codes.begin() + m_begin * columns, x.codes.begin() + m_end * columns,
              codes.begin());
    for (int64_t n = n_begin; n < n_end; n += kTile) {
      const WeightTile tile = reader.Read(n, n_end);
      const int64_t count = std::min<int64_t>(kTile, n_end - n);
      for (int64_t m = m_begin; m < m_end; ++m) {
        float outputs[kTile];
        compute(steps, tile,
                {codes.data() + (m - m_begin) * columns, x.scales.data() + m * input_groups},
                outputs);
        std::copy_n(outputs, count, y + m * weights.out_features + n);
      }
    }
  }
}

std::vector<int32_t> IntAccumulators(const IntActivations& x, int64_t row,
                                     const IntWeights& weights, int64_t n) {
  const Steps steps = StepsOf(x, weights);
  TileReader reader(weights, nullptr);
  const int8_t* const w = reader.Narrow(n);
  const int8_t* const codes = x.codes.data() + row * x.columns;
  std::vector<int32_t> accumulators(static_cast<size_t>(steps.count));
  for (int64_t c = 0; c < x.columns; ++c) {
    accumulators[static_cast<size_t>(c / steps.width)] += codes[c] * w[c];
  }
  return accumulators;
}

}  // namespace vlaserve
