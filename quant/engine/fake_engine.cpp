#include "quant/engine/fake_engine.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>

#include "kernels/panels.h"
#include "kernels/quantize.h"
#include "quant/engine/activations.h"
#include "quant/engine/first_forward.h"

namespace vlaserve {
namespace {

// Columns per scale as a step that loops can use.
int64_t StepOf(int64_t columns, int64_t group) {
  return group <= 0 || group > columns ? columns : group;
}

// `codes`: room for one row.
void DequantizePanelRow(const PackedLayer& pack, int64_t n, int8_t* codes, float* out) {
  const int64_t columns = pack.in_features;
  const int64_t step = StepOf(columns, pack.group);
  const int64_t groups = GroupCount(columns, pack.group);
  kernels::UnpackPanelRow(pack.codes.data(), columns, pack.storage_bits, n, codes);
  const int64_t panel = n / kernels::kPanelColumns;
  for (int64_t g = 0; g < groups; ++g) {
    const auto at = static_cast<size_t>((panel * groups + g) * kernels::kPanelColumns +
                                        n % kernels::kPanelColumns);
    const float scale = FloatFromFp16(pack.scales_fp16[at]);
    for (int64_t k = g * step; k < std::min(columns, (g + 1) * step); ++k) {
      out[k] = static_cast<float>(codes[k]) * scale;
    }
  }
}

// Unsigned codes, row-major.
void DequantizeAsymmetricRow(const PackedLayer& pack, int64_t n, float* out) {
  const int64_t columns = pack.in_features;
  const int64_t step = StepOf(columns, pack.group);
  const int64_t groups = GroupCount(columns, pack.group);
  const bool bytes = pack.storage_bits == 8;
  const uint8_t* const row = pack.codes.data() + n * (bytes ? columns : (columns + 1) / 2);
  for (int64_t g = 0; g < groups; ++g) {
    const auto at = static_cast<size_t>(n * groups + g);
    const float scale = FloatFromFp16(pack.scales_fp16[at]);
    const int32_t zero = pack.zeros[at];
    for (int64_t k = g * step; k < std::min(columns, (g + 1) * step); ++k) {
      const int32_t code = bytes ? row[k] : row[k / 2] >> (k % 2 * 4) & 15;
      out[k] = static_cast<float>(code - zero) * scale;
    }
  }
}

at::Tensor DequantizeActivations(const IntActivations& x) {
  at::Tensor out = at::empty({x.rows, x.columns}, at::kFloat);
  float* data = out.mutable_data_ptr<float>();
  const int64_t step = StepOf(x.columns, x.group);
  const int64_t groups = GroupCount(x.columns, x.group);
  for (int64_t m = 0; m < x.rows; ++m) {
    for (int64_t k = 0; k < x.columns; ++k) {
      const auto at = static_cast<size_t>(m * x.columns + k);
      data[at] =
          static_cast<float>(x.codes[at]) * x.scales[static_cast<size_t>(m * groups + k / step)];
    }
  }
  return out;
}

class FakeEngine : public LinearEngine {
 public:
  explicit FakeEngine(EngineInputs inputs)
      : layer_(std::move(inputs)), transform_(layer_.pack), bias_(WideBias(layer_.bias)) {}

  at::Tensor Forward(const at::Tensor& x) override {
    at::Tensor rows = transform_.Apply(x);
    if (layer_.settings.activation.bits > 0) {
      rows = layer_.observer->Timed(
          "activation_forward", rows.numel(), static_cast<int64_t>(rows.nbytes()), [&] {
            return DequantizeActivations(
                QuantizeRows(rows, layer_.settings.activation, layer_.name));
          });
    }
    const int64_t features = layer_.pack.out_features;
    at::Tensor y = at::empty({rows.size(0), features}, at::kFloat);
    constexpr int64_t kBand = 512;
    for (int64_t begin = 0; begin < features; begin += kBand) {
      const int64_t end = std::min(features, begin + kBand);
      y.narrow(1, begin, end - begin)
          .copy_(at::matmul(rows, DequantizeWeights(layer_.pack, begin, end).t()));
    }
    if (transform_.restores_output()) transform_.RestoreOutput(y);
    if (bias_.defined()) y.add_(bias_);
    std::vector<int64_t> shape = x.sizes().vec();
    shape.back() = features;
    y = y.reshape(shape).to(x.scalar_type());
    first_forward_.Log(layer_, x, y);
    return y;
  }

 private:
  EngineInputs layer_;
  ActivationTransform transform_;
  at::Tensor bias_;
  FirstForward first_forward_;
};

}  // namespace

at::Tensor DequantizeWeights(const PackedLayer& pack, int64_t begin, int64_t end) {
  at::Tensor out = at::empty({end - begin, pack.in_features}, at::kFloat);
  float* data = out.mutable_data_ptr<float>();
  constexpr int64_t kRowsPerTask = 8;
  at::parallel_for(begin, end, kRowsPerTask, [&](int64_t first, int64_t last) {
    std::vector<int8_t> codes(static_cast<size_t>(pack.in_features));
    for (int64_t n = first; n < last; ++n) {
      float* const row = data + (n - begin) * pack.in_features;
      if (pack.layout == PackLayout::kPanels) {
        DequantizePanelRow(pack, n, codes.data(), row);
      } else {
        DequantizeAsymmetricRow(pack, n, row);
      }
    }
  });
  return out;
}

std::unique_ptr<LinearEngine> MakeFakeEngine(EngineInputs inputs) {
  return std::make_unique<FakeEngine>(WithObserver(std::move(inputs)));
}

}  // namespace vlaserve
