#include "quant/pack/packer.h"

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "kernels/panels.h"
#include "kernels/quantize.h"
#include "kernels/transform.h"
#include "quant/pack/legacy_packer.h"
#include "quant/transform/layer_transforms.h"
#include "quant/transform/svd.h"

namespace vlaserve {
namespace {

Status Invalid(const PackRequest& request, std::string field, const std::string& message) {
  return Status(StatusCode::kInvalidArgument, std::move(field), request.name + ": " + message);
}

std::string Place(int64_t row, int64_t column) {
  return "row " + std::to_string(row) + ", column " + std::to_string(column);
}

Status CheckValues(const PackRequest& request) {
  const int64_t columns = request.in_features;
  if (request.out_features < 1 || columns < 1 ||
      std::ssize(request.weight) != request.out_features * columns) {
    return Invalid(request, "",
                   "the weight has " + std::to_string(request.weight.size()) +
                       " values, expected [" + std::to_string(request.out_features) + ", " +
                       std::to_string(columns) + "]");
  }
  for (size_t i = 0; i < request.weight.size(); ++i) {
    if (!std::isfinite(request.weight[i])) {
      const auto index = static_cast<int64_t>(i);
      return Invalid(request, "",
                     "the weight is " + std::to_string(request.weight[i]) + " at " +
                         Place(index / columns, index % columns));
    }
  }
  if (!request.smooth.empty() && std::ssize(request.smooth) != columns) {
    return Invalid(request, "quant.transform.smooth.file",
                   std::to_string(request.smooth.size()) + " smoothing factors, expected " +
                       std::to_string(columns));
  }
  for (size_t c = 0; c < request.smooth.size(); ++c) {
    if (!(std::isfinite(request.smooth[c]) && request.smooth[c] > 0)) {
      return Invalid(request, "quant.transform.smooth.file",
                     "smoothing factor " + std::to_string(request.smooth[c]) + " of column " +
                         std::to_string(c) + ", expected a positive number");
    }
  }
  return Status::Ok();
}

Status CheckSettings(const PackRequest& request) {
  if (request.settings.transform.rotate_out == RotateOut::kPropagate) {
    return Invalid(request, "quant.transform.rotate_out",
                   "propagate exists in the engine legacy_exact only");
  }
  const WeightSettings& weight = request.settings.weight;
  if (request.arithmetic == PackArithmetic::kNone) return Status::Ok();
  if (weight.bits < 2 || weight.bits > 8) {
    return Invalid(request, "quant.weight.bits",
                   std::to_string(weight.bits) + " bits, expected 2 to 8");
  }
  if (weight.group < 0) {
    return Invalid(request, "quant.weight.group",
                   "group " + std::to_string(weight.group) + ", expected 0 or more columns");
  }
  if (LayoutOf(request.arithmetic, weight.bits, weight.symmetric) == PackLayout::kPanels &&
      request.in_features > kernels::kMaxPanelDepth) {
    return Invalid(request, "quant.engine",
                   std::to_string(request.in_features) +
                       " input features: the integer arithmetic of int and fake takes at most " +
                       std::to_string(kernels::kMaxPanelDepth));
  }
  return Status::Ok();
}

std::vector<float> Concatenated(const std::vector<std::vector<float>>& matrices) {
  std::vector<float> all;
  for (const std::vector<float>& matrix : matrices) {
    all.insert(all.end(), matrix.begin(), matrix.end());
  }
  return all;
}

Status ImportTransforms(const PackRequest& request, PackContents& pack) {
  const NpzPack& npz = *request.npz;
  if (npz.out_features != request.out_features || npz.in_features != request.in_features) {
    return Invalid(request, "pack_cache.import_npz",
                   "the npz pack is of a layer [" + std::to_string(npz.out_features) + ", " +
                       std::to_string(npz.in_features) + "], expected [" +
                       std::to_string(request.out_features) + ", " +
                       std::to_string(request.in_features) + "]");
  }
  pack.permutation = npz.permutation;
  if (!npz.rotations.empty()) {
    pack.rotate_in = RotateIn::kWeightSvd;
    pack.block = npz.block;
    pack.rotations = Concatenated(npz.rotations);
  }
  if (pack.rotate_out == RotateOut::kOff) return Status::Ok();
  if (npz.output_rotations.empty()) {
    return Invalid(request, "quant.transform.rotate_out",
                   "the npz pack holds no rotations of the rows");
  }
  pack.block_out = npz.block_out;
  pack.output_rotations = Concatenated(npz.output_rotations);
  return Status::Ok();
}

// Columns permuted and rotated, then rows rotated.
void ApplyTransforms(const PackContents& pack, std::vector<float>& weight) {
  const int64_t columns = pack.in_features;
  std::vector<float> before(static_cast<size_t>(columns));
  for (int64_t n = 0; n < pack.out_features; ++n) {
    float* const row = weight.data() + n * columns;
    if (!pack.permutation.empty()) {
      before.assign(row, row + columns);
      PermuteColumns(before.data(), row, 1, columns, pack.permutation);
    }
    if (pack.rotate_in == RotateIn::kHadamard) {
      HadamardRows(row, 1, columns, pack.block);
    } else if (pack.rotate_in != RotateIn::kOff) {
      before.assign(row, row + columns);
      RotateRows(before.data(), row, 1, columns, pack.block, pack.rotations,
                 pack.rotate_in == RotateIn::kDuquantGreedy);
    }
  }
  if (pack.rotate_out != RotateOut::kOff) {
    RotateRowBlocks(weight.data(), pack.out_features, columns, pack.block_out,
                    pack.output_rotations);
  }
}

WeightSearch SearchOf(WeightRounding rounding) {
  switch (rounding) {
    case WeightRounding::kRtn:
      return WeightSearch::kRtn;
    case WeightRounding::kGrid5:
      return WeightSearch::kGrid5;
    case WeightRounding::kClipSearch:
      return WeightSearch::kClipSearch;
  }
  return WeightSearch::kRtn;
}

Status Describe(const PackRequest& request, const WeightError& error) {
  if (error.kind == WeightError::Kind::kNotFinite) {
    return Invalid(request, "",
                   "the transformed weight overflows at " + Place(error.row, error.column));
  }
  return Invalid(request, "quant.weight.bits",
                 "the scale of the weights from " + Place(error.row, error.column) +
                     " is above 65504, the largest of float16");
}

// From codes [N, K], one per byte, and scales [N, G] to the pack's layout.
void Store(std::vector<uint8_t> codes, std::vector<uint16_t> scales, PackContents& pack) {
  const int64_t n = pack.out_features;
  const int64_t k = pack.in_features;
  const auto* const signed_codes = reinterpret_cast<const int8_t*>(codes.data());
  if (pack.layout == PackLayout::kPanels) {
    const int64_t panels = kernels::PanelCount(n);
    const int64_t groups = GroupCount(k, pack.group);
    pack.codes.resize(static_cast<size_t>(panels * kernels::PanelCodeBytes(k, pack.storage_bits)));
    kernels::PackPanels(signed_codes, n, k, pack.storage_bits, pack.codes.data());
    pack.scales_fp16.resize(static_cast<size_t>(panels * groups * kernels::kPanelColumns));
    kernels::PackPanelScales(scales.data(), n, groups, pack.scales_fp16.data());
    return;
  }
  pack.scales_fp16 = std::move(scales);
  if (pack.storage_bits == 8) {
    pack.codes = std::move(codes);
  } else {
    pack.codes.resize(static_cast<size_t>(n * ((k + 1) / 2)));
    PackNibbles(signed_codes, n, k, pack.codes.data());
  }
}

// Frees `weight` as soon as its codes are known.
Status QuantizeWeight(const PackRequest& request, std::vector<float> weight, PackContents& pack) {
  const WeightSettings& settings = request.settings.weight;
  const int64_t n = pack.out_features;
  const int64_t k = pack.in_features;
  const auto scale_count = static_cast<size_t>(n * GroupCount(k, settings.group));
  pack.weight_bits = settings.bits;
  pack.storage_bits = StorageBits(settings.bits);
  pack.layout = LayoutOf(pack.arithmetic, settings.bits, settings.symmetric);
  pack.group = settings.group;
  std::vector<uint16_t> scales(scale_count);
  std::vector<uint8_t> codes(weight.size());
  const WeightSearch search = SearchOf(settings.rounding);
  std::optional<WeightError> error;
  if (settings.symmetric) {
    error = QuantizeWeights(weight.data(), n, k, settings.bits, settings.group, search,
                            reinterpret_cast<int8_t*>(codes.data()), scales.data(), {});
  } else {
    pack.zeros.resize(scale_count);
    error = QuantizeWeightsAsymmetric(weight.data(), n, k, settings.bits, settings.group, search,
                                      codes.data(), scales.data(), pack.zeros.data());
  }
  if (error.has_value()) return Describe(request, *error);
  std::vector<float>().swap(weight);
  Store(std::move(codes), std::move(scales), pack);
  return Status::Ok();
}

}  // namespace

Result<PackContents> BuildPack(const PackRequest& request) {
  if (request.arithmetic == PackArithmetic::kLegacyF32 ||
      request.arithmetic == PackArithmetic::kLegacyBf16) {
    return BuildLegacyPack(request);
  }
  VLASERVE_RETURN_IF_ERROR(CheckValues(request));
  VLASERVE_RETURN_IF_ERROR(CheckSettings(request));

  PackContents pack;
  pack.out_features = request.out_features;
  pack.in_features = request.in_features;
  pack.arithmetic = request.arithmetic;
  pack.smooth.assign(request.smooth.begin(), request.smooth.end());
  pack.rotate_out = request.settings.transform.rotate_out;

  std::vector<float> weight(request.weight.begin(), request.weight.end());
  if (!pack.smooth.empty()) {
    ScaleColumns(weight.data(), pack.out_features, pack.in_features, pack.smooth);
  }
  VLASERVE_RETURN_IF_ERROR(
      request.npz != nullptr
          ? ImportTransforms(request, pack)
          : ComputeTransforms(request, weight, pack.rotate_out != RotateOut::kOff, pack));
  if (request.arithmetic == PackArithmetic::kNone) return pack;
  ApplyTransforms(pack, weight);
  VLASERVE_RETURN_IF_ERROR(QuantizeWeight(request, std::move(weight), pack));
  return pack;
}

}  // namespace vlaserve
