// From a linear's input to what meets the weights' codes: transforms, quantization. Includes
// LibTorch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "kernels/int_linear.h"
#include "quant/config/quant_config.h"
#include "quant/pack/packed_layer.h"

namespace vlaserve {

// The transforms of a pack, applied to activations; weights got the same when they were packed.
// Formulas: kernels/transform.h. Rows are independent of each other, so that results do not depend
// on the number of threads.
class ActivationTransform {
 public:
  // Keeps views into the pack.
  explicit ActivationTransform(const PackedLayer& pack);

  // x [..., K] of any float dtype → float32 [M, K], contiguous: smoothed, permuted, rotated. May
  // share memory with x if there is nothing to do.
  at::Tensor Apply(const at::Tensor& x) const;
  // y [M, N] in place: the pack's rotation of the rows undone (RotateOut::kRestore).
  void RestoreOutput(const at::Tensor& y) const;
  // [K] 1 / smooth, each rounded once; empty: none.
  const std::vector<float>& inverse_smooth() const { return inverse_smooth_; }
  bool restores_output() const { return pack_.rotate_out == RotateOut::kRestore; }

 private:
  void ApplyToRows(const float* in, float* out, int64_t rows) const;

  PackedLayer pack_;
  std::vector<float> inverse_smooth_;
};

// Rows [M, K] float32, contiguous → codes and scales by kernels/quantize.h. Throws c10::Error
// naming `layer` and the row for NaN and Inf.
IntActivations QuantizeRows(const at::Tensor& rows, const ActivationSettings& settings,
                            const std::string& layer);

// A bias as engines add it: float32 [N], contiguous; undefined stays undefined.
at::Tensor WideBias(const at::Tensor& bias);

}  // namespace vlaserve
