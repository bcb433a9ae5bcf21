#include "quant/engine/transforms_only_engine.h"

#include <algorithm>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "kernels/transform.h"
#include "model/archive/torch_errors.h"
#include "quant/engine/activations.h"
#include "quant/transform/block_rotations.h"

namespace vlaserve {
namespace {

// Rows of the weight that one task transforms.
constexpr int64_t kGrain = 16;

// Rows [count, K] in place; `scratch` is as large.
void TransformRows(const PackedLayer& pack, float* rows, int64_t count, float* scratch) {
  const int64_t k = pack.in_features;
  if (!pack.smooth.empty()) ScaleColumns(rows, count, k, pack.smooth);
  if (!pack.permutation.empty()) {
    PermuteColumns(rows, scratch, count, k, pack.permutation);
    std::copy_n(scratch, count * k, rows);
  }
  if (pack.rotate_in == RotateIn::kHadamard) {
    HadamardRows(rows, count, k, pack.block);
  } else if (pack.rotate_in != RotateIn::kOff) {
    RotateRows(rows, scratch, count, k, pack.block, pack.rotations,
               pack.rotate_in == RotateIn::kDuquantGreedy);
    std::copy_n(scratch, count * k, rows);
  }
}

// W_t [N, K] float32.
at::Tensor TransformedWeight(const PackedLayer& pack, const at::Tensor& weight) {
  at::Tensor result = weight.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true).contiguous();
  float* const rows = result.mutable_data_ptr<float>();
  at::parallel_for(0, pack.out_features, kGrain, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch(static_cast<size_t>(kGrain * pack.in_features));
    for (int64_t first = begin; first < end; first += kGrain) {
      TransformRows(pack, rows + first * pack.in_features, std::min(kGrain, end - first),
                    scratch.data());
    }
  });
  return OutputRotations(pack, at::kFloat).ApplyToRows(result);
}

class TransformsOnlyEngine : public LinearEngine {
 public:
  explicit TransformsOnlyEngine(EngineInputs inputs)
      : name_(std::move(inputs.name)),
        transform_(inputs.pack),
        weight_(TransformedWeight(inputs.pack, inputs.weight)),
        bias_(WideBias(inputs.bias)) {}

  at::Tensor Forward(const at::Tensor& x) override {
    TORCH_CHECK(at::isfinite(x).all().item<bool>(), name_, ": NaN or Inf in the input");
    at::Tensor y = at::matmul(transform_.Apply(x), weight_.transpose(0, 1));
    if (transform_.restores_output()) transform_.RestoreOutput(y);
    if (bias_.defined()) y.add_(bias_);
    std::vector<int64_t> shape = x.sizes().vec();
    shape.back() = weight_.size(0);
    return y.to(x.scalar_type()).reshape(shape);
  }

 private:
  std::string name_;
  ActivationTransform transform_;
  at::Tensor weight_;  // [N, K] float32, transformed
  at::Tensor bias_;    // [N] float32; undefined: none
};

}  // namespace

Result<std::unique_ptr<LinearEngine>> MakeTransformsOnlyEngine(EngineInputs inputs) {
  const std::string name = inputs.name;
  if (inputs.weight.dim() != 2 || inputs.weight.size(0) != inputs.pack.out_features ||
      inputs.weight.size(1) != inputs.pack.in_features) {
    return Status(StatusCode::kInvalidArgument,
                  name + ": the weight is not [" + std::to_string(inputs.pack.out_features) + ", " +
                      std::to_string(inputs.pack.in_features) + "] as its pack");
  }
  if (inputs.pack.rotate_out == RotateOut::kPropagate) {
    return Status(StatusCode::kInvalidArgument, "quant.transform.rotate_out",
                  name +
                      ": propagate never undoes the rotation of the rows, so that "
                      "transforms_only could not equal the float layer; use restore or off");
  }
  try {
    return std::unique_ptr<LinearEngine>(std::make_unique<TransformsOnlyEngine>(std::move(inputs)));
  } catch (const std::exception& error) {
    return TorchFailure(StatusCode::kInternal, name, error);
  }
}

}  // namespace vlaserve
