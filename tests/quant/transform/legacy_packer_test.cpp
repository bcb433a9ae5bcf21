// Packs in openpi_duquant's arithmetic: imports, compat bugs, refusals.
#include "quant/pack/legacy_packer.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "tests/support/catch.h"
#include "tests/support/matchers.h"

namespace vlaserve {
namespace {

constexpr int64_t kN = 6;
constexpr int64_t kK = 5;

struct Layer {
  std::vector<float> weight;
  NpzPack npz;
  PackRequest request;

  Layer() {
    for (int i = 0; i < kN * kK; ++i) weight.push_back(std::sin(static_cast<float>(i) * 1.9F));
    npz.out_features = kN;
    npz.in_features = kK;
    npz.block = 4;
    npz.block_out = 6;
    npz.permutation = {4, 0, 1, 2, 3};
    npz.rotations = {Identity(4), {-1.0F}};
    npz.output_rotations = {Identity(6)};
    request.name = "expert.q";
    request.weight = weight;
    request.out_features = kN;
    request.in_features = kK;
    request.arithmetic = PackArithmetic::kLegacyF32;
    request.settings.weight = {.bits = 4, .group = 0};
    request.settings.transform.rotate_in = RotateIn::kWeightSvd;
    request.settings.transform.block = 4;
  }

  static std::vector<float> Identity(size_t size) {
    std::vector<float> matrix(size * size);
    for (size_t i = 0; i < size; ++i) matrix[i * size + i] = 1;
    return matrix;
  }

  PackContents Build() const {
    auto pack = BuildLegacyPack(request);
    INFO(pack.status().message());
    REQUIRE(pack.ok());
    return *pack;
  }
  Status Refusal() const {
    const auto pack = BuildLegacyPack(request);
    REQUIRE(!pack.ok());
    CHECK_THAT(pack.status().message(), ContainsText("expert.q: "));
    return pack.status();
  }
};

// The floats of a pack that is not quantized.
std::vector<float> Floats(const PackContents& pack) {
  REQUIRE(pack.storage_bits == 32);
  std::vector<float> values(pack.codes.size() / 4);
  std::memcpy(values.data(), pack.codes.data(), pack.codes.size());
  return values;
}

TEST_CASE("an imported pack wins over the settings and is noted") {
  Layer layer;
  layer.request.settings.weight.bits = 0;
  layer.request.settings.transform.block = 64;
  layer.request.npz = &layer.npz;
  const PackContents pack = layer.Build();
  CHECK(pack.block == 4);
  CHECK(pack.permutation == layer.npz.permutation);
  const std::vector<float> values = Floats(pack);
  for (size_t row = 0; row < kN; ++row) {
    CHECK(values[row * kK] == layer.weight[row * kK + 4]);
    CHECK(values[row * kK + 4] == -layer.weight[row * kK + 3]);
  }
  CHECK_THAT(NpzOverrideNote("expert.q", layer.request.settings.transform, layer.npz),
             ContainsText("block 4, block_out 6, permuted"));
  TransformSettings same = layer.request.settings.transform;
  same.block = 4;
  same.block_out = 6;
  same.permute = Permute::kWeightZigzag;
  CHECK(NpzOverrideNote("expert.q", same, layer.npz).empty());
}

TEST_CASE("an imported pack of another layer is refused") {
  Layer layer;
  layer.request.npz = &layer.npz;
  layer.npz.in_features = kK + 1;
  CHECK_THAT(layer.Refusal().message(), ContainsText("a layer [6, 6], expected [6, 5]"));
  layer.npz.in_features = kK;
  layer.npz.output_rotations.clear();
  layer.request.settings.transform.rotate_out = RotateOut::kRestore;
  CHECK(layer.Refusal().field() == "quant.transform.rotate_out");
}

TEST_CASE("NaN in the weight is refused with its place") {
  Layer layer;
  layer.weight[1 * kK + 3] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THAT(layer.Refusal().message(), ContainsText("row 1, column 3"));
}

TEST_CASE("more than 8 bits need the compat bug that rounds weights to integers") {
  Layer layer;
  layer.request.settings.weight.bits = 32;
  CHECK(layer.Refusal().field() == "quant.weight.bits");
  layer.request.compat_bugs.wbits32_scale1 = true;
  for (const float value : Floats(layer.Build())) CHECK(value == std::round(value));
  for (const int64_t bits : {1, 9, 15, 33}) {
    layer.request.settings.weight.bits = bits;
    CHECK(layer.Refusal().field() == "quant.weight.bits");
  }
}

TEST_CASE("codes of up to 4 bits are stored as nibbles, wider ones as bytes") {
  Layer layer;
  for (const int64_t bits : {2, 4, 5, 8}) {
    layer.request.settings.weight.bits = bits;
    const PackContents pack = layer.Build();
    CHECK(pack.weight_bits == bits);
    CHECK(pack.storage_bits == (bits <= 4 ? 4 : 8));
    CHECK(pack.codes.size() == (bits <= 4 ? kN * ((kK + 1) / 2) : kN * kK));
    CHECK(pack.scales.size() == kN);
  }
}

TEST_CASE("rows are rotated and never restored only with the compat bug") {
  Layer layer;
  layer.request.settings.weight.bits = 0;
  layer.npz.output_rotations = {Layer::Identity(6)};
  layer.npz.output_rotations[0][0] = -1;
  layer.request.npz = &layer.npz;
  const std::vector<float> plain = Floats(layer.Build());
  layer.request.compat_bugs.row_rot_none = true;
  const PackContents rotated = layer.Build();
  CHECK(rotated.rotate_out == RotateOut::kOff);
  CHECK(rotated.output_rotations.empty());
  CHECK(Floats(rotated)[0] == -plain[0]);
  CHECK(Floats(rotated)[kK] == plain[kK]);
}

TEST_CASE("the in-place bug applies the transforms twice, but not with a permutation") {
  Layer layer;
  layer.request.settings.weight.bits = 0;
  layer.request.npz = &layer.npz;
  layer.request.compat_bugs.inplace_weight = true;
  const std::vector<float> permuted = Floats(layer.Build());
  CHECK(permuted[kK - 1] == -layer.weight[3]);
  layer.npz.permutation.clear();
  CHECK(Floats(layer.Build()) == layer.weight);  // (-1) · (-1)
}

TEST_CASE("smoothing multiplies the weight, or divides it with the compat bug") {
  Layer layer;
  const std::vector<float> smooth = {1, 2, 4, 8, 16};
  layer.request.settings.weight.bits = 0;
  layer.request.settings.transform.rotate_in = RotateIn::kOff;
  layer.request.smooth = smooth;
  PackContents pack = layer.Build();
  CHECK(pack.smooth == smooth);
  CHECK(Floats(pack)[3] == layer.weight[3] * 8);
  layer.request.compat_bugs.sq_inverted = true;
  pack = layer.Build();
  CHECK(pack.smooth == std::vector<float>{1, 0.5F, 0.25F, 0.125F, 0.0625F});
  CHECK(Floats(pack)[3] == layer.weight[3] / 8);
  const std::vector<float> few = {1, 2};
  layer.request.smooth = few;
  CHECK_THAT(layer.Refusal().message(), ContainsText("2 smoothing factors for 5 columns"));
}

TEST_CASE("the source weight is never changed") {
  Layer layer;
  const std::vector<float> before = layer.weight;
  layer.request.compat_bugs.inplace_weight = true;
  layer.Build();
  CHECK(layer.weight == before);
}

}  // namespace
}  // namespace vlaserve
