#include "quant/engine/legacy_engine.h"

#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include "kernels/quantize.h"
#include "model/archive/torch_errors.h"
#include "quant/engine/static_scales.h"
#include "quant/transform/legacy_arithmetic.h"

namespace vlaserve {
namespace {

at::ScalarType DTypeOf(const PackedLayer& pack) {
  return pack.arithmetic == PackArithmetic::kLegacyBf16 ? at::kBFloat16 : at::kFloat;
}

int64_t BytesOf(const at::Tensor& x) { return x.numel() * x.element_size(); }

class LegacyEngine : public LinearEngine {
 public:
  LegacyEngine(EngineInputs inputs, std::vector<at::Tensor> scales)
      : inputs_(std::move(inputs)),
        transform_(inputs_.pack, inputs_.compute_dtype),
        output_rotations_(OutputRotations(inputs_.pack, inputs_.compute_dtype)),
        scales_(std::move(scales)) {
    if (inputs_.bias.defined()) {
      bias_ = inputs_.bias.to(inputs_.compute_dtype);
      if (inputs_.pack.rotate_out == RotateOut::kPropagate) {
        bias_ = output_rotations_.ApplyToRows(bias_.unsqueeze(1)).squeeze(1);
      }
    }
    inputs_.weight.reset();
    inputs_.calibration = nullptr;
  }

  at::Tensor Forward(const at::Tensor& x) override {
    TORCH_CHECK(x.scalar_type() == inputs_.compute_dtype, inputs_.name, ": the input is ",
                x.scalar_type(), ", the layer was packed for ", inputs_.compute_dtype);
    TORCH_CHECK(inputs_.compat_bugs.first_batch_calib || at::isfinite(x).all().item<bool>(),
                inputs_.name, ": NaN or Inf in the input");
    at::Tensor x_t = transform_.Apply(x);
    if (inputs_.settings.activation.bits > 0) x_t = QuantizedActivations(x_t);
    at::Tensor y = MatmulRoundedOnce(x_t, Weight().transpose(0, 1));
    if (inputs_.pack.rotate_out == RotateOut::kRestore) y = output_rotations_.ApplyToColumns(y);
    if (bias_.defined()) y = at::add(y, bias_);
    if (!forwarded_) {
      forwarded_ = true;
      inputs_.observer->LogForwarded(
          {inputs_.name, x.sizes(), y.sizes(), WeightBits(), inputs_.settings.activation.bits});
    }
    return y;
  }

 private:
  int64_t WeightBits() const { return inputs_.pack.weight_bits; }

  at::Tensor QuantizedActivations(const at::Tensor& x_t) {
    const at::Tensor scale = ActivationScale(x_t);
    return inputs_.observer->Timed(
        "activation_forward", x_t.numel(), BytesOf(x_t) + BytesOf(scale),
        [&] { return LegacyCodes(x_t, scale, inputs_.settings.activation.bits).mul_(scale); });
  }

  at::Tensor ActivationScale(const at::Tensor& x_t) {
    const ActivationSettings& settings = inputs_.settings.activation;
    if (settings.mode == ActivationMode::kDynamicTensor) {
      const at::Tensor largest = at::amax(at::abs(x_t)).to(at::kFloat).reshape({1});
      return LegacyActivationScales(largest, settings.bits, x_t.scalar_type());
    }
    if (scales_.empty()) {
      scales_.push_back(
          BatchActivationScales(x_t, settings, settings.mode == ActivationMode::kStaticTensor));
    }
    if (scales_.size() == 1) return scales_.front();
    const auto step = static_cast<size_t>(inputs_.observer->denoise_step);
    TORCH_CHECK(step < scales_.size(), inputs_.name, ": denoise step ", step,
                " has no activation scales; the calibration recorded ", scales_.size(), " steps");
    return scales_[step];
  }

  at::Tensor Weight() {
    const bool quantized = WeightBits() > 0;
    const bool prequantize = quantized && inputs_.precache_weights;
    if (!weight_ready_) {
      weight_ready_ = true;
      if (prequantize || !quantized) weight_ = Dequantized("weight_prequant");
      LogCached(prequantize);
    }
    return weight_.defined() ? weight_ : Dequantized("weight_fallback");
  }

  at::Tensor Dequantized(std::string_view label) {
    if (WeightBits() == 0) return DequantizedLegacyWeight(inputs_.pack);
    const PackedLayer& pack = inputs_.pack;
    const int64_t elements = pack.out_features * pack.in_features;
    const auto element_size = static_cast<int64_t>(at::elementSize(inputs_.compute_dtype));
    return inputs_.observer->Timed(label, elements, (elements + pack.out_features) * element_size,
                                   [&] { return DequantizedLegacyWeight(pack); });
  }

  void LogCached(bool prequantized) const {
    const std::string_view rotation = inputs_.compat_bugs.row_rot_none                 ? "none"
                                      : inputs_.pack.rotate_out == RotateOut::kRestore ? "restore"
                                      : inputs_.pack.rotate_out == RotateOut::kPropagate
                                          ? "propagate"
                                          : "0";
    inputs_.observer->LogCached(
        {inputs_.name, inputs_.compute_dtype == at::kBFloat16 ? "bfloat16" : "float32",
         WeightBits(), inputs_.settings.activation.bits, inputs_.settings.transform.block,
         !inputs_.pack.permutation.empty(), rotation, prequantized});
  }

  EngineInputs inputs_;
  LegacyInputTransform transform_;
  BlockRotations output_rotations_;
  std::vector<at::Tensor> scales_;  // empty: not known before the first call
  at::Tensor bias_;                 // rotated with propagate; undefined: none
  at::Tensor weight_;               // [N, K]; undefined: not kept
  bool weight_ready_ = false;
  bool forwarded_ = false;
};

// The engine's own conditions; the calibration's are StaticActivationScales'.
Status CheckInputs(const EngineInputs& inputs) {
  const auto invalid = [&inputs](const char* field, const std::string& message) {
    return Status(StatusCode::kInvalidArgument, field, inputs.name + ": " + message);
  };
  if (inputs.compute_dtype != at::kFloat && inputs.compute_dtype != at::kBFloat16) {
    return invalid("runtime.compute_dtype", "legacy_exact computes in float32 or bfloat16");
  }
  if (inputs.pack.arithmetic != LegacyArithmeticFor(inputs.compute_dtype)) {
    return invalid("quant.engine", "the pack was made with another arithmetic than legacy_exact's");
  }
  const ActivationSettings& activation = inputs.settings.activation;
  if (activation.bits == 0) return Status::Ok();
  switch (activation.mode) {
    case ActivationMode::kDynamicToken:
    case ActivationMode::kDynamicTokenGroup:
      return invalid("quant.act.mode",
                     "legacy_exact has the modes static_channel, step_channel, static_tensor and "
                     "dynamic_tensor; dynamic_token and dynamic_token_group are int's and fake's");
    case ActivationMode::kDynamicTensor:
      return Status::Ok();
    case ActivationMode::kStepChannel:
      if (inputs.compat_bugs.first_batch_calib) {
        return invalid("quant.act.mode",
                       "step_channel needs one scale per denoise step, the compat bug "
                       "first_batch_calib gives only one: choose one of them");
      }
      break;
    case ActivationMode::kStaticTensor:
    case ActivationMode::kStaticChannel:
      break;
  }
  if (!inputs.compat_bugs.first_batch_calib && inputs.calibration == nullptr) {
    return invalid("quant.calibration_file",
                   "static activation scales need a calibration file (vlaserve calibrate), or the "
                   "compat bug first_batch_calib");
  }
  return Status::Ok();
}

}  // namespace

PackArithmetic LegacyArithmeticFor(at::ScalarType dtype) {
  return dtype == at::kBFloat16 ? PackArithmetic::kLegacyBf16 : PackArithmetic::kLegacyF32;
}

at::Tensor DequantizedLegacyWeight(const PackedLayer& pack) {
  const int64_t n = pack.out_features;
  const int64_t k = pack.in_features;
  const at::ScalarType dtype = DTypeOf(pack);
  auto* const bytes = const_cast<uint8_t*>(pack.codes.data());
  if (pack.storage_bits >= 16) return at::from_blob(bytes, {n, k}, at::TensorOptions(dtype));
  at::Tensor codes;
  if (pack.storage_bits == 8) {
    codes = at::from_blob(bytes, {n, k}, at::TensorOptions(at::kChar));
  } else {
    codes = at::empty({n, k}, at::kChar);
    UnpackNibbles(bytes, n, k, codes.mutable_data_ptr<int8_t>());
  }
  const at::Tensor scales =
      at::from_blob(const_cast<float*>(pack.scales.data()), {n, 1}, at::TensorOptions(at::kFloat))
          .to(dtype);
  return codes.to(dtype).mul_(scales);
}

Result<std::unique_ptr<LinearEngine>> MakeLegacyEngine(EngineInputs inputs) {
  VLASERVE_RETURN_IF_ERROR(CheckInputs(inputs));
  if (inputs.observer == nullptr) {
    inputs.observer = std::make_shared<EngineObserver>(EngineObserver::Options{});
  }
  std::vector<at::Tensor> scales;
  const ActivationSettings& activation = inputs.settings.activation;
  if (activation.bits > 0 && activation.mode != ActivationMode::kDynamicTensor &&
      !inputs.compat_bugs.first_batch_calib) {
    VLASERVE_ASSIGN_OR_RETURN(
        scales, StaticActivationScales(inputs.name, inputs.pack, activation, *inputs.calibration,
                                       inputs.compute_dtype));
  }
  const std::string name = inputs.name;
  try {
    return std::unique_ptr<LinearEngine>(
        std::make_unique<LegacyEngine>(std::move(inputs), std::move(scales)));
  } catch (const std::exception& error) {
    return TorchFailure(StatusCode::kInternal, name, error);
  }
}

}  // namespace vlaserve
