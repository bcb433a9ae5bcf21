#include "quant/pack/legacy_packer.h"

#include <cmath>
#include <cstring>
#include <exception>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include "kernels/quantize.h"
#include "model/archive/torch_errors.h"
#include "quant/transform/block_rotations.h"
#include "quant/transform/layer_transforms.h"
#include "quant/transform/legacy_arithmetic.h"
#include "quant/transform/svd.h"

namespace vlaserve {
namespace {

Status Invalid(const PackRequest& request, std::string field, const std::string& message) {
  return Status(StatusCode::kInvalidArgument, std::move(field), request.name + ": " + message);
}

at::ScalarType DTypeOf(const PackRequest& request) {
  return request.arithmetic == PackArithmetic::kLegacyBf16 ? at::kBFloat16 : at::kFloat;
}

bool RotatesRows(const PackRequest& request) {
  return request.settings.transform.rotate_out != RotateOut::kOff ||
         request.compat_bugs.row_rot_none;
}

Status CheckRequest(const PackRequest& request) {
  if (request.arithmetic != PackArithmetic::kLegacyF32 &&
      request.arithmetic != PackArithmetic::kLegacyBf16) {
    return Status(StatusCode::kInternal, request.name + ": not a legacy pack");
  }
  const int64_t k = request.in_features;
  if (request.out_features < 1 || k < 1 || std::ssize(request.weight) != request.out_features * k) {
    return Invalid(request, "",
                   "the weight has " + std::to_string(request.weight.size()) +
                       " values, expected [" + std::to_string(request.out_features) + ", " +
                       std::to_string(k) + "]");
  }
  for (size_t i = 0; i < request.weight.size(); ++i) {
    if (!std::isfinite(request.weight[i])) {
      return Invalid(request, "",
                     "the weight is " + std::to_string(request.weight[i]) + " at row " +
                         std::to_string(i / static_cast<size_t>(k)) + ", column " +
                         std::to_string(i % static_cast<size_t>(k)));
    }
  }
  const int64_t bits = request.settings.weight.bits;
  const bool scale_one = bits >= 16 && bits <= 32 && request.compat_bugs.wbits32_scale1;
  if (bits != 0 && (bits < 2 || bits > 8) && !scale_one) {
    return Invalid(request, "quant.weight.bits",
                   "weights of " + std::to_string(bits) +
                       " bits: 2 to 8, 0 for not quantized (16 to 32 only with the compat bug "
                       "wbits32_scale1)");
  }
  if (!request.smooth.empty() && std::ssize(request.smooth) != k) {
    return Invalid(request, "quant.smooth_file",
                   std::to_string(request.smooth.size()) + " smoothing factors for " +
                       std::to_string(k) + " columns");
  }
  return Status::Ok();
}

// [N, K] in the model's dtype.
at::Tensor ModelWeight(const PackRequest& request) {
  return at::from_blob(const_cast<float*>(request.weight.data()),
                       {request.out_features, request.in_features}, at::TensorOptions(at::kFloat))
      .to(DTypeOf(request));
}

void ImportNpzRotations(const std::vector<std::vector<float>>& from, std::vector<float>& to) {
  for (const std::vector<float>& rotation : from) {
    to.insert(to.end(), rotation.begin(), rotation.end());
  }
}

Status ImportTransforms(const PackRequest& request, PackContents& pack) {
  const NpzPack& npz = *request.npz;
  if (npz.out_features != pack.out_features || npz.in_features != pack.in_features) {
    return Invalid(request, "quant.npz_folder",
                   "the imported pack is of a layer [" + std::to_string(npz.out_features) + ", " +
                       std::to_string(npz.in_features) + "], expected [" +
                       std::to_string(pack.out_features) + ", " + std::to_string(pack.in_features) +
                       "]");
  }
  pack.permutation = npz.permutation;
  if (!npz.rotations.empty()) {
    pack.rotate_in = RotateIn::kWeightSvd;
    pack.block = npz.block;
    ImportNpzRotations(npz.rotations, pack.rotations);
  }
  if (RotatesRows(request)) {
    if (npz.output_rotations.empty()) {
      return Invalid(request, "quant.transform.rotate_out",
                     "the imported pack holds no rotations of the rows");
    }
    pack.block_out = npz.block_out;
    ImportNpzRotations(npz.output_rotations, pack.output_rotations);
  }
  return Status::Ok();
}

// Permuted, rotated: columns first, then rows.
at::Tensor TransformedWeight(const PackContents& pack, const at::Tensor& weight) {
  const at::ScalarType dtype = weight.scalar_type();
  at::Tensor result = weight;
  if (!pack.permutation.empty()) {
    const at::Tensor order = at::from_blob(const_cast<int32_t*>(pack.permutation.data()),
                                           {pack.in_features}, at::TensorOptions(at::kInt));
    result = at::index_select(result, 1, order);
  }
  PackedLayer view;
  view.in_features = pack.in_features;
  view.rotate_in = pack.rotate_in;
  view.block = pack.block;
  view.rotations = pack.rotations;
  result = InputRotations(view, dtype).ApplyToColumns(result);
  if (!pack.output_rotations.empty()) {
    result = BlockRotations(pack.output_rotations, pack.out_features, pack.block_out,
                            /*shared=*/false, dtype)
                 .ApplyToRows(result);
  }
  return result.contiguous();
}

// The weight after smoothing. `pack.smooth` divides x and multiplies W.
at::Tensor Smoothed(const PackRequest& request, const at::Tensor& weight, PackContents& pack) {
  if (request.smooth.empty()) return weight;
  pack.smooth.assign(request.smooth.begin(), request.smooth.end());
  if (request.compat_bugs.sq_inverted) {
    for (float& factor : pack.smooth) factor = 1 / factor;
  }
  const at::Tensor factors =
      at::from_blob(pack.smooth.data(), {pack.in_features}, at::TensorOptions(at::kFloat));
  return at::mul(weight, factors.to(weight.scalar_type()));
}

void StoreFloats(const at::Tensor& values, PackContents& pack) {
  const at::Tensor dense = values.contiguous();
  pack.storage_bits = 8 * dense.element_size();
  const auto* bytes = static_cast<const uint8_t*>(dense.const_data_ptr());
  pack.codes.assign(bytes, bytes + dense.numel() * dense.element_size());
}

void StoreCodes(const at::Tensor& values, PackContents& pack) {
  const at::Tensor codes = values.to(at::kChar).contiguous();
  const int8_t* data = codes.const_data_ptr<int8_t>();
  const int64_t n = pack.out_features;
  const int64_t k = pack.in_features;
  pack.storage_bits = StorageBits(pack.weight_bits);
  pack.codes.resize(static_cast<size_t>(pack.storage_bits == 4 ? n * ((k + 1) / 2) : n * k));
  if (pack.storage_bits == 4) {
    PackNibbles(data, n, k, pack.codes.data());
  } else {
    std::memcpy(pack.codes.data(), data, pack.codes.size());
  }
}

void QuantizeWeight(const at::Tensor& w_t, PackContents& pack) {
  if (pack.weight_bits == 0) return StoreFloats(w_t, pack);
  if (pack.weight_bits >= 16) {
    pack.scales.assign(static_cast<size_t>(pack.out_features), 1.0F);
    return StoreFloats(LegacyCodes(w_t, at::ones({1}, w_t.options()), pack.weight_bits), pack);
  }
  const at::Tensor scales = LegacySearchScales(w_t, pack.weight_bits).scales;
  StoreCodes(LegacyCodes(w_t, scales.unsqueeze(1), pack.weight_bits), pack);
  const at::Tensor wide = scales.to(at::kFloat).contiguous();
  pack.scales.assign(wide.const_data_ptr<float>(),
                     wide.const_data_ptr<float>() + pack.out_features);
}

Status Build(const PackRequest& request, PackContents& pack) {
  const at::Tensor weight = ModelWeight(request);
  if (request.npz != nullptr) {
    VLASERVE_RETURN_IF_ERROR(ImportTransforms(request, pack));
  } else {
    const at::Tensor wide = weight.to(at::kFloat);
    VLASERVE_RETURN_IF_ERROR(
        ComputeTransforms(request, {wide.const_data_ptr<float>(), request.weight.size()},
                          RotatesRows(request), pack));
  }
  at::Tensor w_t = TransformedWeight(pack, Smoothed(request, weight, pack));
  if (request.compat_bugs.inplace_weight && pack.permutation.empty()) {
    w_t = TransformedWeight(pack, w_t);
  }
  QuantizeWeight(w_t, pack);
  pack.rotate_out = request.settings.transform.rotate_out;
  if (pack.rotate_out == RotateOut::kOff) {
    pack.block_out = 0;
    pack.output_rotations.clear();
  }
  return Status::Ok();
}

}  // namespace

Result<PackContents> BuildLegacyPack(const PackRequest& request) {
  VLASERVE_RETURN_IF_ERROR(CheckRequest(request));
  PackContents pack;
  pack.out_features = request.out_features;
  pack.in_features = request.in_features;
  pack.arithmetic = request.arithmetic;
  pack.weight_bits = request.settings.weight.bits;
  try {
    VLASERVE_RETURN_IF_ERROR(Build(request, pack));
  } catch (const std::exception& error) {
    return TorchFailure(StatusCode::kInternal, request.name, error);
  }
  return pack;
}

std::string NpzOverrideNote(const std::string& layer, const TransformSettings& configured,
                            const NpzPack& npz) {
  const int64_t block_out = configured.block_out > 0 ? configured.block_out : configured.block;
  const bool permute = configured.permute != Permute::kOff;
  if (npz.block == configured.block && npz.block_out == block_out &&
      npz.permutation.empty() != permute) {
    return {};
  }
  const auto describe = [](int64_t block, int64_t rows, bool permuted) {
    return "block " + std::to_string(block) + ", block_out " + std::to_string(rows) +
           (permuted ? ", permuted" : ", not permuted");
  };
  return layer + ": the imported pack (" +
         describe(npz.block, npz.block_out, !npz.permutation.empty()) +
         ") wins over the configuration (" + describe(configured.block, block_out, permute) + ")";
}

}  // namespace vlaserve
