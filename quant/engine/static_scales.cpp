#include "quant/engine/static_scales.h"

#include <exception>

#include <ATen/ATen.h>

#include "model/archive/torch_errors.h"
#include "quant/engine/quantile.h"
#include "quant/transform/legacy_arithmetic.h"

namespace vlaserve {
namespace {

at::Tensor Vector(std::span<const float> values) {
  return at::from_blob(const_cast<float*>(values.data()), {std::ssize(values)},
                       at::TensorOptions(at::kFloat))
      .clone();
}

}  // namespace

LegacyInputTransform::LegacyInputTransform(const PackedLayer& pack, at::ScalarType dtype)
    : rotations_(InputRotations(pack, dtype)) {
  if (!pack.smooth.empty()) smooth_ = Vector(pack.smooth).to(dtype);
  if (!pack.permutation.empty()) {
    permutation_ = at::from_blob(const_cast<int32_t*>(pack.permutation.data()), {pack.in_features},
                                 at::TensorOptions(at::kInt))
                       .to(at::kLong);
  }
}

at::Tensor LegacyInputTransform::Apply(const at::Tensor& x) const {
  at::Tensor result = x;
  if (smooth_.defined()) result = at::div(result, smooth_);
  if (permutation_.defined()) result = at::index_select(result, -1, permutation_);
  return rotations_.ApplyToColumns(result);
}

at::Tensor BatchActivationScales(const at::Tensor& x_t, const ActivationSettings& settings,
                                 bool per_tensor) {
  const int64_t columns = per_tensor ? 1 : x_t.size(-1);
  const at::Tensor magnitudes = at::abs(x_t.to(at::kFloat)).reshape({-1, columns}).contiguous();
  const std::vector<float> percentiles = ColumnQuantiles(
      magnitudes.const_data_ptr<float>(), magnitudes.size(0), columns, settings.percentile);
  return LegacyActivationScales(Vector(percentiles), settings.bits, x_t.scalar_type());
}

Result<std::vector<at::Tensor>> StaticActivationScales(const std::string& layer,
                                                       const PackedLayer& pack,
                                                       const ActivationSettings& settings,
                                                       const LayerCalibration& calibration,
                                                       at::ScalarType dtype) {
  if (calibration.columns != pack.in_features) {
    return Status(StatusCode::kInvalidArgument,
                  layer + ": the calibration has " + std::to_string(calibration.columns) +
                      " columns, the layer " + std::to_string(pack.in_features));
  }
  const bool per_step = settings.mode == ActivationMode::kStepChannel;
  std::vector<at::Tensor> scales;
  try {
    const LegacyInputTransform transform(pack, dtype);
    for (size_t step = 0; step < calibration.samples.size(); ++step) {
      const std::vector<float>& sample = calibration.samples[step];
      if (sample.empty()) {
        if (!per_step) continue;
        return Status(StatusCode::kInvalidArgument, layer +
                                                        ": the calibration holds no rows of "
                                                        "denoise step " +
                                                        std::to_string(step));
      }
      const at::Tensor rows = Vector(sample).reshape({-1, pack.in_features}).to(dtype);
      at::Tensor batch = BatchActivationScales(transform.Apply(rows), settings,
                                               settings.mode == ActivationMode::kStaticTensor);
      if (scales.empty() || per_step) {
        scales.push_back(std::move(batch));
      } else {
        scales.front() = at::maximum(scales.front(), batch);
      }
    }
  } catch (const std::exception& error) {
    return TorchFailure(StatusCode::kInternal, layer + ": activation scales", error);
  }
  if (scales.empty()) {
    return Status(StatusCode::kInvalidArgument,
                  layer + ": the calibration holds no rows of its activations");
  }
  return scales;
}

}  // namespace vlaserve
