// Static activation scales of the engine `legacy_exact`, from recorded activations. Includes
// LibTorch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/io/status.h"
#include "quant/calibration/calibration.h"
#include "quant/config/quant_config.h"
#include "quant/pack/packed_layer.h"
#include "quant/transform/block_rotations.h"

namespace vlaserve {

// x as it meets the quantizer of `legacy_exact`: smoothed, permuted and rotated in its own dtype.
class LegacyInputTransform {
 public:
  LegacyInputTransform(const PackedLayer& pack, at::ScalarType dtype);
  // x [..., K] in the dtype given above.
  at::Tensor Apply(const at::Tensor& x) const;

 private:
  at::Tensor smooth_;       // [K]; undefined: none
  at::Tensor permutation_;  // [K]; undefined: none
  BlockRotations rotations_;
};

// max(percentile of |x_t| / qmax, 1e-6) for the values of one batch x_t [..., K]: [K], one scale
// per column, or [1] if `per_tensor`; in x_t's dtype. Formula: README of the quantizer's golden
// data, §2.4. NaN where x_t has one (and where Inf meets a finite value).
at::Tensor BatchActivationScales(const at::Tensor& x_t, const ActivationSettings& settings,
                                 bool per_tensor);

// The scales of a static mode: one tensor, or one per denoise step with kStepChannel; [K] each, or
// [1] with kStaticTensor. Every denoise step recorded counts as a batch; over several batches the
// largest scale is taken, as openpi_duquant's calibrator does with percentiles.
//
// Errors: kInvalidArgument naming `layer` if nothing was recorded or the width differs; kInternal
// for what LibTorch reports.
Result<std::vector<at::Tensor>> StaticActivationScales(const std::string& layer,
                                                       const PackedLayer& pack,
                                                       const ActivationSettings& settings,
                                                       const LayerCalibration& calibration,
                                                       at::ScalarType dtype);

}  // namespace vlaserve
