// What the cases of the kernel benchmark are made of. Includes LibTorch.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

#include "kernels/activation_pass.h"
#include "kernels/panels.h"
#include "quant/bench/kernel_bench.h"

namespace vlaserve {

// Whether `name` begins with one of options.contenders (or there are none).
bool Wanted(const KernelBenchOptions& options, std::string_view name);

// How many copies of `bytes` of weights to rotate over: options.stream_bytes together, at least 1,
// and in all no more than a sixteenth of the memory that is available now.
int64_t CopyCount(const KernelBenchOptions& options, int64_t bytes);

// Copies of a tensor, `count` in all; the first is the tensor itself.
std::vector<at::Tensor> Copies(const at::Tensor& tensor, int64_t count);

// A weight that all number formats hold exactly: codes of 4 bits times an fp16 scale per row, so
// that whatever computes with it should find the same product.
struct RandomWeight {
  at::Tensor codes;   // int8 [N, K], -7 … 7
  at::Tensor scales;  // float32 [N], values of fp16
  at::Tensor Float32() const;
};
// Scales are such that products with rows of variance 1 have a variance near 1.
RandomWeight MakeRandomWeight(int64_t out_features, int64_t in_features);

// The weight in panels, `count` copies. 8 bits: codes times 16, scales divided by it.
class PanelCopies {
 public:
  PanelCopies(const RandomWeight& weight, int64_t bits, int64_t group,
              const KernelBenchOptions& options);

  const kernels::PanelWeights& at(int64_t call) const {
    return views_[static_cast<size_t>(call) % views_.size()];
  }
  int64_t bytes() const { return bytes_; }  // of one copy

 private:
  std::vector<at::Tensor> memory_;
  std::vector<kernels::PanelWeights> views_;
  int64_t bytes_ = 0;
};

// Rotations of activations that are measured, in blocks of kRotationBlock columns.
enum class Rotation { kNone, kHadamard, kDense };
inline constexpr Rotation kRotations[] = {Rotation::kNone, Rotation::kHadamard, Rotation::kDense};
inline constexpr int64_t kRotationBlock = 64;

// "+quantize", "+hadamard64", "+dense64": what an activation pass with it adds to a name.
std::string_view RotationSuffix(Rotation rotation);
// Why rows of so many columns cannot be rotated so; empty if they can.
std::string RotationProblem(Rotation rotation, int64_t columns);

// The values for rows of `columns`: random orthonormal blocks, one after another; undefined for the
// other rotations.
at::Tensor RotationValues(Rotation rotation, int64_t columns);
// float32 rows [rows, columns], rotated (kernels/transform.h).
at::Tensor Rotated(const at::Tensor& rows, Rotation rotation, const at::Tensor& values);

// float32 rows as an activation pass with this rotation reads them.
kernels::ActivationPass PassOf(const at::Tensor& rows, Rotation rotation, const at::Tensor& values);

// ‖y - expected‖ / ‖expected‖; infinite if there is a NaN. In double.
double RelativeError(const at::Tensor& y, const at::Tensor& expected);

}  // namespace vlaserve
