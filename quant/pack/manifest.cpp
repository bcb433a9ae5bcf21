#include "quant/pack/manifest.h"

#include "quant/pack/pack_file.h"
#include "quant/pack/spellings.h"

namespace vlaserve {
namespace {

class Lines {
 public:
  void Add(std::string_view name, std::string_view value) {
    text_.append(name).append(" ").append(value).append("\n");
  }
  void Add(std::string_view name, int64_t value) { Add(name, std::to_string(value)); }
  void AddFlag(std::string_view name, bool value) {
    if (value) Add(name, "true");
  }

  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

void AddWeight(const PackInputs& inputs, Lines& lines) {
  const WeightSettings& weight = inputs.settings.weight;
  if (inputs.arithmetic == PackArithmetic::kNone) return;
  lines.Add("weight.bits", weight.bits);
  if (weight.bits == 0) return;
  // The legacy arithmetic has one scale per row, whatever the group.
  if (inputs.arithmetic == PackArithmetic::kInteger) lines.Add("weight.group", weight.group);
  lines.Add("weight.symmetric", weight.symmetric ? "true" : "false");
  lines.Add("weight.rounding", Spelling(kWeightRoundingSpellings, weight.rounding));
}

void AddTransform(const PackInputs& inputs, Lines& lines) {
  const TransformSettings& transform = inputs.settings.transform;
  if (!inputs.smooth_sha256.empty()) lines.Add("transform.smooth", inputs.smooth_sha256);
  if (transform.permute != Permute::kOff) {
    lines.Add("transform.permute", Spelling(kPermuteSpellings, transform.permute));
  }
  if (transform.rotate_in != RotateIn::kOff) {
    lines.Add("transform.rotate_in", Spelling(kRotateInSpellings, transform.rotate_in));
  }
  if (transform.rotate_in != RotateIn::kOff || transform.permute == Permute::kActSnake) {
    lines.Add("transform.block", transform.block);
  }
  if (transform.rotate_out != RotateOut::kOff || inputs.compat_bugs.row_rot_none) {
    lines.Add("transform.rotate_out", Spelling(kRotateOutSpellings, transform.rotate_out));
    lines.Add("transform.block_out",
              transform.block_out > 0 ? transform.block_out : transform.block);
  }
  if (!inputs.calibration_sha256.empty()) lines.Add("calibration", inputs.calibration_sha256);
  if (!inputs.npz_sha256.empty()) lines.Add("npz", inputs.npz_sha256);
}

}  // namespace

std::string Manifest(const PackInputs& inputs) {
  Lines lines;
  lines.Add("format", kPackFormatVersion);
  lines.Add("packer", kPackerVersion);
  const WeightSettings& weight = inputs.settings.weight;
  lines.Add("layout", Spelling(kPackLayoutSpellings,
                               LayoutOf(inputs.arithmetic, weight.bits, weight.symmetric)));
  lines.Add("source.sha256", inputs.weight_sha256);
  lines.Add("source.dtype", inputs.weight_dtype);
  lines.Add("source.shape",
            std::to_string(inputs.out_features) + " " + std::to_string(inputs.in_features));
  lines.Add("arithmetic", Spelling(kPackArithmeticSpellings, inputs.arithmetic));
  AddWeight(inputs, lines);
  AddTransform(inputs, lines);
  // first_batch_calib is about activations only.
  lines.AddFlag("compat.row_rot_none", inputs.compat_bugs.row_rot_none);
  lines.AddFlag("compat.sq_inverted", inputs.compat_bugs.sq_inverted);
  lines.AddFlag("compat.inplace_weight", inputs.compat_bugs.inplace_weight);
  lines.AddFlag("compat.wbits32_scale1", inputs.compat_bugs.wbits32_scale1);
  return lines.Take();
}

}  // namespace vlaserve
