#include "quant/select/layer_bytes.h"

#include "kernels/panels.h"
#include "quant/pack/packed_layer.h"

namespace vlaserve {
namespace {

constexpr int64_t kBytesOfFloat = 4;
constexpr int64_t kBytesOfHalf = 2;

// One square matrix per block, the last block being shorter if need be.
int64_t MatrixElements(int64_t features, int64_t block) {
  const int64_t last = features % block;
  return features / block * block * block + last * last;
}

int64_t TransformBytes(const LinearInfo& linear, const TransformSettings& transform) {
  int64_t elements = 0;  // of 4 bytes each
  if (transform.smooth != SmoothMode::kOff) elements += linear.in_features;
  if (transform.permute != Permute::kOff) elements += linear.in_features;
  switch (transform.rotate_in) {
    case RotateIn::kOff:
    case RotateIn::kHadamard:
      break;
    case RotateIn::kWeightSvd:
    case RotateIn::kSvdHadamard:
      elements += MatrixElements(linear.in_features, transform.block);
      break;
    case RotateIn::kDuquantGreedy:
      elements += transform.block * transform.block;
      break;
  }
  if (transform.rotate_out != RotateOut::kOff) {
    elements += MatrixElements(linear.out_features, transform.block_out);
  }
  return elements * kBytesOfFloat;
}

int64_t WeightBytes(const LinearInfo& linear, const WeightSettings& weight, Engine engine) {
  const int64_t storage_bits = StorageBits(weight.bits);
  const bool legacy = engine == Engine::kLegacyExact;
  const bool per_row = legacy || weight.group == 0 || weight.group >= linear.in_features;
  const int64_t groups = per_row ? 1 : (linear.in_features + weight.group - 1) / weight.group;
  if (!legacy &&
      LayoutOf(PackArithmetic::kInteger, weight.bits, weight.symmetric) == PackLayout::kPanels) {
    return kernels::PanelCount(linear.out_features) *
           (kernels::PanelCodeBytes(linear.in_features, storage_bits) +
            groups * kernels::kPanelColumns * kBytesOfHalf);
  }
  const int64_t row_bytes = (linear.in_features * storage_bits + 7) / 8;
  const int64_t scale_bytes = legacy ? kBytesOfFloat : kBytesOfHalf;
  const int64_t zero_bytes = weight.symmetric ? 0 : 1;
  return linear.out_features * (row_bytes + groups * (scale_bytes + zero_bytes));
}

}  // namespace

LayerBytes BytesOf(const SelectedLayer& layer, Engine engine) {
  LayerBytes bytes;
  bytes.bfloat16 = layer.linear.out_features * layer.linear.in_features * kBytesOfHalf;
  const WeightSettings& weight = layer.settings.weight;
  const bool integer = engine == Engine::kInt || engine == Engine::kFake;
  if (engine == Engine::kOff || (integer && weight.bits == 0)) {
    bytes.packed = bytes.bfloat16;
    return bytes;
  }
  const bool stays = engine == Engine::kTransformsOnly || weight.bits == 0 || weight.bits > 8;
  bytes.packed = (stays ? bytes.bfloat16 : WeightBytes(layer.linear, weight, engine)) +
                 TransformBytes(layer.linear, layer.settings.transform);
  return bytes;
}

}  // namespace vlaserve
