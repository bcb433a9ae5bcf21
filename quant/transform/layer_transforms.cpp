#include "quant/transform/layer_transforms.h"

#include <string>
#include <utility>

#include "kernels/transform.h"
#include "quant/transform/greedy.h"
#include "quant/transform/permutation.h"
#include "quant/transform/svd.h"

namespace vlaserve {
namespace {

constexpr const char* kPermuteKey = "quant.transform.permute";
constexpr const char* kRotateInKey = "quant.transform.rotate_in";
constexpr const char* kBlockKey = "quant.transform.block";

Status Invalid(const PackRequest& request, std::string field, const std::string& message) {
  return Status(StatusCode::kInvalidArgument, std::move(field), request.name + ": " + message);
}

Status CheckCalibration(const PackRequest& request, const char* field, const char* transform) {
  const LayerCalibration* const calibration = request.calibration;
  if (calibration == nullptr) {
    return Invalid(request, field,
                   std::string(transform) + " needs calibration data of this layer, found none");
  }
  if (calibration->columns != request.in_features ||
      std::ssize(calibration->abs_max) != request.in_features) {
    return Invalid(request, field,
                   "calibration data of " + std::to_string(calibration->columns) +
                       " columns, expected " + std::to_string(request.in_features));
  }
  return Status::Ok();
}

// What x is multiplied by before anything else; empty: nothing.
std::vector<float> InputFactors(const PackRequest& request) {
  std::vector<float> factors(request.smooth.begin(), request.smooth.end());
  if (!request.compat_bugs.sq_inverted) {
    for (float& factor : factors) factor = 1.0F / factor;
  }
  return factors;
}

// All samples of the calibration, smoothed and permuted, row-major [rows, K].
Result<std::vector<float>> Samples(const PackRequest& request,
                                   std::span<const int32_t> permutation) {
  const int64_t columns = request.in_features;
  std::vector<float> samples;
  for (const std::vector<float>& rows : request.calibration->samples) {
    samples.insert(samples.end(), rows.begin(), rows.end());
  }
  if (samples.empty() || samples.size() % static_cast<size_t>(columns) != 0) {
    return Invalid(request, kRotateInKey,
                   "calibration samples of " + std::to_string(samples.size()) +
                       " values, expected whole rows of " + std::to_string(columns));
  }
  const auto rows = static_cast<int64_t>(samples.size()) / columns;
  const std::vector<float> factors = InputFactors(request);
  if (!factors.empty()) ScaleColumns(samples.data(), rows, columns, factors);
  if (permutation.empty()) return samples;
  std::vector<float> permuted(samples.size());
  PermuteColumns(samples.data(), permuted.data(), rows, columns, permutation);
  return permuted;
}

bool IsPowerOfTwo(int64_t value) { return value > 0 && (value & (value - 1)) == 0; }

Status CheckBlock(const PackRequest& request) {
  const int64_t block = request.settings.transform.block;
  const int64_t columns = request.in_features;
  if (request.settings.transform.rotate_in == RotateIn::kWeightSvd) {
    if (block >= 1) return Status::Ok();
    return Invalid(request, kBlockKey, "block " + std::to_string(block) + ", expected at least 1");
  }
  if (IsPowerOfTwo(block) && columns % block == 0) return Status::Ok();
  return Invalid(request, kBlockKey,
                 "block " + std::to_string(block) + ", expected a power of two that divides the " +
                     std::to_string(columns) + " input features");
}

}  // namespace

Result<std::vector<int32_t>> BuildPermutation(const PackRequest& request,
                                              std::span<const float> weight) {
  switch (request.settings.transform.permute) {
    case Permute::kOff:
      break;
    case Permute::kWeightZigzag:
      return WeightZigzag(weight, request.out_features, request.in_features);
    case Permute::kActSnake: {
      VLASERVE_RETURN_IF_ERROR(CheckCalibration(request, kPermuteKey, "act_snake"));
      const int64_t block = request.settings.transform.block;
      if (block < 1) {
        return Invalid(request, kBlockKey,
                       "block " + std::to_string(block) + ", expected at least 1");
      }
      std::vector<float> magnitudes = request.calibration->abs_max;
      const std::vector<float> factors = InputFactors(request);
      if (!factors.empty()) ScaleColumns(magnitudes.data(), 1, request.in_features, factors);
      return ActivationSnake(magnitudes, block);
    }
  }
  return std::vector<int32_t>();
}

Result<std::vector<float>> BuildRotations(const PackRequest& request, std::span<const float> weight,
                                          std::span<const int32_t> permutation) {
  const RotateIn rotate_in = request.settings.transform.rotate_in;
  if (rotate_in == RotateIn::kOff) return std::vector<float>();
  VLASERVE_RETURN_IF_ERROR(CheckBlock(request));
  const int64_t block = request.settings.transform.block;
  if (rotate_in == RotateIn::kHadamard) return std::vector<float>();
  if (rotate_in == RotateIn::kDuquantGreedy) {
    VLASERVE_RETURN_IF_ERROR(CheckCalibration(request, kRotateInKey, "duquant_greedy"));
    VLASERVE_ASSIGN_OR_RETURN(const std::vector<float> samples, Samples(request, permutation));
    return GreedyRotation(samples, block);
  }
  auto rotations =
      WeightSvdRotations(weight, request.out_features, request.in_features, permutation, block);
  if (!rotations.ok()) return rotations.status().WithContext(request.name);
  if (rotate_in == RotateIn::kWeightSvd) return rotations;
  auto spread = TimesHadamard(*rotations, request.in_features, block);
  if (!spread.ok()) return spread.status().WithContext(request.name);
  return spread;
}

Status ComputeTransforms(const PackRequest& request, std::span<const float> weight,
                         bool rotate_rows, PackContents& pack) {
  const TransformSettings& transform = request.settings.transform;
  VLASERVE_ASSIGN_OR_RETURN(pack.permutation, BuildPermutation(request, weight));
  VLASERVE_ASSIGN_OR_RETURN(pack.rotations, BuildRotations(request, weight, pack.permutation));
  pack.rotate_in = transform.rotate_in;
  if (pack.rotate_in != RotateIn::kOff) pack.block = transform.block;
  if (!rotate_rows) return Status::Ok();
  pack.block_out = transform.block_out > 0 ? transform.block_out : transform.block;
  auto rotations =
      RowSvdRotations(weight, request.out_features, request.in_features, pack.block_out);
  if (!rotations.ok()) return rotations.status().WithContext(request.name);
  pack.output_rotations = std::move(rotations).value();
  return Status::Ok();
}

}  // namespace vlaserve
