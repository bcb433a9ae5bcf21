#include <ATen/ATen.h>

#include "kernels/quantize.h"
#include "quant/engine/legacy_engine.h"
#include "quant/engine/static_scales.h"
#include "quant/golden/legacy_checks.h"
#include "quant/pack/legacy_packer.h"
#include "quant/transform/legacy_arithmetic.h"

namespace vlaserve {
namespace {

// Limits of the README.
constexpr double kTransformedF32 = 2e-6;
constexpr double kOutputF32 = 1e-5;
constexpr double kOutputWithOtherCodes = 1e-4;
constexpr double kBf16 = 1e-3;
constexpr double kMargin = 1e-3;
// "the bit width of the layer is set to 8" (the case's note).
constexpr int64_t kRebuiltBits = 8;

std::string Indexed(const char* prefix, size_t index, const char* suffix = "") {
  return prefix + std::to_string(index) + suffix;
}

// Codes of a pack as int64 [N, K].
at::Tensor CodesOf(const PackedLayer& pack) {
  if (pack.storage_bits >= 16) return DequantizedLegacyWeight(pack).to(at::kLong);
  PackedLayer unit = pack;
  const std::vector<float> ones(static_cast<size_t>(pack.out_features), 1.0F);
  unit.scales = ones;
  return DequantizedLegacyWeight(unit).to(at::kLong);
}

Result<PackedLayer> BuildView(const PackRequest& request) {
  VLASERVE_ASSIGN_OR_RETURN(PackContents contents, BuildLegacyPack(request));
  return ViewOf(std::move(contents));
}

// The transformed weight: a pack of weights that are not quantized.
Result<at::Tensor> TransformedWeight(PackRequest request) {
  request.settings.weight.bits = 0;
  VLASERVE_ASSIGN_OR_RETURN(const PackedLayer pack, BuildView(request));
  return DequantizedLegacyWeight(pack).clone();
}

Result<std::unique_ptr<LinearEngine>> EngineFor(const LegacyCase& golden,
                                                const PackRequest& request, PackedLayer pack) {
  EngineInputs inputs;
  inputs.name = golden.id();
  inputs.pack = std::move(pack);
  inputs.settings = request.settings;
  inputs.compat_bugs = request.compat_bugs;
  inputs.bias = golden.bias();
  inputs.compute_dtype = golden.dtype();
  return MakeLegacyEngine(std::move(inputs));
}

// Codes may differ by one where value / scale is within a margin of a half. Returns how many do.
int64_t CompareCodes(const std::string& tensor, const at::Tensor& actual,
                     const at::Tensor& expected, const at::Tensor& value_by_scale,
                     CaseComparison& compare) {
  if (actual.sizes() != expected.sizes()) {
    compare.Exact(tensor, actual, expected);
    return actual.numel();
  }
  const at::Tensor ratio = value_by_scale.to(at::kDouble);
  const at::Tensor to_half = at::abs(ratio - at::floor(ratio) - 0.5);
  const at::Tensor off = at::abs(actual - expected);
  const at::Tensor allowed = (off == 0) | ((off == 1) & (to_half <= kMargin));
  compare.Exact(tensor, at::where(allowed, expected, actual), expected);
  return at::count_nonzero(off).item<int64_t>();
}

class ImportedComparison {
 public:
  ImportedComparison(LegacyCase& golden, CaseComparison& compare)
      : golden_(golden), compare_(compare), request_(golden.Request(/*import=*/true)) {}

  Status Run() {
    VLASERVE_ASSIGN_OR_RETURN(pack_, BuildView(request_));
    VLASERVE_RETURN_IF_ERROR(CompareWeight());
    CompareBias();
    VLASERVE_ASSIGN_OR_RETURN(const auto engine, EngineFor(golden_, request_, pack_));
    const LegacyInputTransform transform(pack_, golden_.dtype());
    at::Tensor scale;
    for (size_t i = 0; i < golden_.inputs().size(); ++i) {
      const at::Tensor& x = golden_.inputs()[i];
      const at::Tensor x_t = transform.Apply(x);
      CompareTransformed(Indexed("x", i, "_t"), x_t);
      int64_t other_codes = other_weight_codes_;
      if (request_.settings.activation.bits > 0) {
        if (i == 0) scale = FirstBatchScale(x_t);
        other_codes += CompareActivationCodes(Indexed("x", i, "_codes"), x_t, scale);
      }
      CompareOutput(Indexed("y", i), engine->Forward(x), other_codes);
    }
    if (golden_.bf16()) return CompareBf16Outputs();
    return Status::Ok();
  }

 private:
  void CompareTransformed(const std::string& tensor, const at::Tensor& actual) {
    const at::Tensor expected = golden_.Find(tensor);
    if (!expected.defined()) return;
    if (golden_.bf16()) {
      compare_.NmseWithin(tensor, kBf16, actual, expected);
    } else {
      compare_.Within(tensor, kTransformedF32, actual, expected);
    }
  }

  Status CompareWeight() {
    VLASERVE_ASSIGN_OR_RETURN(const at::Tensor w_t, TransformedWeight(request_));
    CompareTransformed("w_t", w_t);
    CompareTransformed("weight_after_first", w_t);
    const at::Tensor codes = golden_.Find("w_codes");
    const at::Tensor scales = golden_.Find("w_scales");
    if (!codes.defined() || !scales.defined() || golden_.bf16()) return Status::Ok();
    other_weight_codes_ =
        CompareCodes("w_codes", CodesOf(pack_), codes, at::div(w_t, scales.unsqueeze(1)), compare_);
    return Status::Ok();
  }

  void CompareBias() {
    const at::Tensor expected = golden_.Find("bias_rot");
    if (!expected.defined() || !golden_.bias().defined()) return;
    const at::Tensor rotated =
        OutputRotations(pack_, golden_.dtype()).ApplyToRows(golden_.bias().unsqueeze(1)).squeeze(1);
    CompareTransformed("bias_rot", rotated);
  }

  at::Tensor FirstBatchScale(const at::Tensor& x_t) {
    const at::Tensor scale =
        BatchActivationScales(x_t, request_.settings.activation, /*per_tensor=*/false);
    CompareTransformed("act_scale", scale);
    return scale;
  }

  int64_t CompareActivationCodes(const std::string& tensor, const at::Tensor& x_t,
                                 const at::Tensor& scale) {
    const at::Tensor expected = golden_.Find(tensor);
    // The largest codes have no digits to spare: beyond 16 bits they follow every float32 rounding.
    if (!expected.defined() || golden_.bf16() || request_.settings.activation.bits > 8) return 0;
    const at::Tensor codes = LegacyCodes(x_t, scale, request_.settings.activation.bits);
    return CompareCodes(tensor, codes.to(at::kLong), expected, at::div(x_t, scale), compare_);
  }

  void CompareOutput(const std::string& tensor, const at::Tensor& y, int64_t other_codes) {
    const at::Tensor expected = golden_.Find(tensor);
    if (!expected.defined()) return compare_.Fail(tensor, "not in the file");
    if (golden_.bf16()) {
      compare_.NmseWithin(tensor, kBf16, y, expected);
    } else if (other_codes == 0) {
      compare_.Within(tensor, kOutputF32, y, expected);
    } else {
      compare_.NmseWithin(tensor, kOutputWithOtherCodes, y, expected);
    }
  }

  // With the reference's codes and scales of the weight, outputs in bfloat16 are the reference's.
  Status CompareBf16Outputs() {
    const at::Tensor codes = golden_.Find("w_codes");
    const at::Tensor scales = golden_.Find("w_scales");
    const at::Tensor w_t = golden_.Find("w_t");
    PackedLayer pack = pack_;
    at::Tensor storage;
    if (codes.defined() && scales.defined() && request_.settings.weight.bits <= 8) {
      storage = codes.to(at::kChar).contiguous();
      pack.storage_bits = 8;
      pack.scales = {scales.const_data_ptr<float>(), static_cast<size_t>(scales.numel())};
    } else if (w_t.defined() && request_.settings.weight.bits == 0) {
      storage = w_t.to(at::kBFloat16).contiguous();
      pack.storage_bits = 16;
    } else {
      return Status::Ok();
    }
    pack.codes = {static_cast<const uint8_t*>(storage.const_data_ptr()),
                  static_cast<size_t>(storage.numel() * storage.element_size())};
    VLASERVE_ASSIGN_OR_RETURN(const auto engine, EngineFor(golden_, request_, pack));
    for (size_t i = 0; i < golden_.inputs().size(); ++i) {
      const std::string name = Indexed("y", i);
      const at::Tensor expected = golden_.Find(name);
      const at::Tensor y = engine->Forward(golden_.inputs()[i]);
      if (expected.defined()) compare_.Exact(name + " from stored codes", y, expected);
    }
    return Status::Ok();
  }

  LegacyCase& golden_;
  CaseComparison& compare_;
  PackRequest request_;
  PackedLayer pack_;
  int64_t other_weight_codes_ = 0;
};

}  // namespace

void CompareFromStored(LegacyCase& golden, CaseComparison& compare) {
  const PackRequest request = golden.Request(/*import=*/true);
  const at::Tensor w_t = golden.Find("w_t");
  const at::Tensor w_scales = golden.Find("w_scales");
  const int64_t bits = request.settings.weight.bits;
  if (w_t.defined() && w_scales.defined()) {
    const at::Tensor weight = w_t.to(golden.dtype());
    at::Tensor scales = at::ones({golden.out_features()}, weight.options());
    if (bits < 16) {
      const LegacyWeightScales found = LegacySearchScales(weight, bits);
      scales = found.scales;
      const at::Tensor index = golden.Find("w_grid_index");
      if (index.defined()) compare.Exact("w_grid_index", found.grid_index, index);
    }
    compare.Exact("w_scales", scales, w_scales);
    const at::Tensor codes = golden.Find("w_codes");
    if (codes.defined()) {
      compare.Exact("w_codes", LegacyCodes(weight, w_scales.to(golden.dtype()).unsqueeze(1), bits),
                    codes);
    }
  }
  const at::Tensor act_scale = golden.Find("act_scale");
  if (!act_scale.defined()) return;
  for (size_t i = 0; i < golden.inputs().size(); ++i) {
    const at::Tensor stored = golden.Find(Indexed("x", i, "_t"));
    if (!stored.defined()) continue;
    const at::Tensor x_t = stored.to(golden.dtype());
    const ActivationSettings& activation = request.settings.activation;
    if (i == 0) {
      compare.Exact("act_scale", BatchActivationScales(x_t, activation, /*per_tensor=*/false),
                    act_scale);
    }
    const at::Tensor codes = golden.Find(Indexed("x", i, "_codes"));
    if (!codes.defined()) continue;
    compare.Exact(Indexed("x", i, "_codes"),
                  LegacyCodes(x_t, act_scale.to(golden.dtype()), activation.bits), codes);
  }
}

Status CompareWithImportedPack(LegacyCase& golden, CaseComparison& compare) {
  return ImportedComparison(golden, compare).Run();
}

Status CompareInplaceBug(LegacyCase& golden, CaseComparison& compare) {
  const at::Tensor twice = golden.Find("w_t_after_second");
  if (!twice.defined()) return Status::Ok();
  PackRequest request = golden.Request(/*import=*/true);
  request.compat_bugs.inplace_weight = true;
  VLASERVE_ASSIGN_OR_RETURN(const at::Tensor w_t, TransformedWeight(request));
  compare.Within("w_t_after_second", kTransformedF32, w_t, twice);
  const at::Tensor overwritten = golden.Find("weight_after_second");
  if (overwritten.defined()) {
    compare.Within("weight_after_second", kTransformedF32, w_t, overwritten);
  }
  const at::Tensor expected = golden.Find("y0_after_key_change");
  if (!expected.defined()) return Status::Ok();
  request.settings.weight.bits = kRebuiltBits;
  VLASERVE_ASSIGN_OR_RETURN(const PackedLayer pack, BuildView(request));
  VLASERVE_ASSIGN_OR_RETURN(const auto engine, EngineFor(golden, request, pack));
  compare.NmseWithin("y0_after_key_change", kOutputWithOtherCodes,
                     engine->Forward(golden.inputs().front()), expected);
  return Status::Ok();
}

}  // namespace vlaserve
