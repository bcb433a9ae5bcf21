#include "quant/pack/packer.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/quantize.h"
#include "kernels/transform.h"
#include "model/transforms/noise.h"
#include "quant/select/layer_bytes.h"
#include "quant/transform/permutation.h"
#include "tests/quant/pack/row_major.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

constexpr int64_t kN = 48;
constexpr int64_t kK = 128;

std::vector<float> Weight() {
  std::vector<float> weight = GaussianNoise(11, kN * kK);
  for (size_t i = 0; i < weight.size(); ++i) {
    weight[i] *= 0.1f * static_cast<float>(1 + i % 7) * (i % kK == 5 ? 4 : 1);
  }
  return weight;
}

// Smoothing off, nothing permuted, nothing rotated.
PackRequest Request(const std::vector<float>& weight) {
  PackRequest request;
  request.name = "layers.3.q_proj";
  request.weight = weight;
  request.out_features = kN;
  request.in_features = kK;
  request.settings.weight.group = 32;
  request.settings.transform.rotate_in = RotateIn::kOff;
  request.settings.transform.block = 32;
  return request;
}

PackContents Build(const PackRequest& request) {
  auto pack = BuildPack(request);
  INFO(pack.status().message());
  REQUIRE(pack.ok());
  return std::move(pack).value();
}

Status Failure(const PackRequest& request) {
  const auto pack = BuildPack(request);
  REQUIRE_FALSE(pack.ok());
  CHECK(pack.status().code() == StatusCode::kInvalidArgument);
  CHECK(pack.status().message().starts_with(request.name + ": "));
  return pack.status();
}

std::vector<float> Dequantized(const PackContents& pack) {
  const int64_t groups = GroupCount(kK, pack.group);
  const int64_t width = groups == 1 ? kK : pack.group;
  const RowMajorWeights stored = RowMajor(ViewOf(pack));
  std::vector<float> weight;
  for (int64_t n = 0; n < kN; ++n) {
    for (int64_t k = 0; k < kK; ++k) {
      const auto index = static_cast<size_t>(n * kK + k);
      const uint8_t byte = stored.codes[pack.storage_bits == 8 ? index : index / 2];
      int code = byte;
      if (pack.storage_bits == 4) code = k % 2 == 0 ? byte & 15 : byte >> 4;
      const auto scale = static_cast<size_t>(n * groups + k / width);
      if (!pack.zeros.empty()) {
        code -= pack.zeros[scale];
      } else if (code >= (pack.storage_bits == 4 ? 8 : 128)) {
        code -= pack.storage_bits == 4 ? 16 : 256;
      }
      weight.push_back(static_cast<float>(code) * FloatFromFp16(stored.scales[scale]));
    }
  }
  return weight;
}

// y of a pack for one x, by the order of transforms that PackedLayer documents.
std::vector<float> Output(const PackContents& pack, std::vector<float> x) {
  for (size_t c = 0; c < pack.smooth.size(); ++c) x[c] /= pack.smooth[c];
  std::vector<float> next(x.size());
  if (!pack.permutation.empty()) {
    PermuteColumns(x.data(), next.data(), 1, kK, pack.permutation);
    x = next;
  }
  if (pack.rotate_in == RotateIn::kHadamard) {
    HadamardRows(x.data(), 1, kK, pack.block);
  } else if (pack.rotate_in != RotateIn::kOff) {
    RotateRows(x.data(), next.data(), 1, kK, pack.block, pack.rotations,
               pack.rotate_in == RotateIn::kDuquantGreedy);
    x = next;
  }
  const std::vector<float> weight = Dequantized(pack);
  std::vector<float> y(kN);
  for (size_t n = 0; n < y.size(); ++n) {
    y[n] =
        std::inner_product(x.begin(), x.end(), weight.begin() + static_cast<int64_t>(n) * kK, 0.0f);
  }
  if (pack.rotate_out == RotateOut::kRestore) {
    std::vector<float> restored(y.size());
    RotateRows(y.data(), restored.data(), 1, kN, pack.block_out, pack.output_rotations, false);
    y = restored;
  }
  return y;
}

// Largest |y - W x| relative to the largest |W x|.
double OutputError(const PackContents& pack, const std::vector<float>& weight) {
  const std::vector<float> x = GaussianNoise(12, kK);
  const std::vector<float> y = Output(pack, x);
  double largest = 0;
  double error = 0;
  for (size_t n = 0; n < y.size(); ++n) {
    const double exact = std::inner_product(
        x.begin(), x.end(), weight.begin() + static_cast<int64_t>(n) * kK, 0.0, std::plus<>(),
        [](float a, float b) { return static_cast<double>(a) * static_cast<double>(b); });
    largest = std::max(largest, std::abs(exact));
    error = std::max(error, std::abs(exact - static_cast<double>(y[n])));
  }
  return error / largest;
}

LayerCalibration MakeCalibration() {
  LayerCalibration calibration;
  calibration.columns = kK;
  calibration.tokens = 20;
  calibration.samples = {GaussianNoise(13, 12 * kK), GaussianNoise(14, 8 * kK)};
  calibration.abs_max.assign(kK, 0);
  for (auto& rows : calibration.samples) {
    for (size_t i = 0; i < rows.size(); ++i) {
      const size_t column = i % kK;
      if (column % 50 == 7) rows[i] *= 30;
      calibration.abs_max[column] = std::max(calibration.abs_max[column], std::abs(rows[i]));
    }
  }
  return calibration;
}

TEST_CASE("without transforms a pack holds the weight's codes and scales") {
  const std::vector<float> weight = Weight();
  PackRequest request = Request(weight);
  for (const int64_t bits : {2, 3, 4, 5, 6, 7, 8}) {
    request.settings.weight.bits = bits;
    const PackContents pack = Build(request);
    CHECK(pack.weight_bits == bits);
    CHECK(pack.storage_bits == (bits <= 4 ? 4 : 8));
    CHECK(pack.group == 32);
    CHECK(pack.arithmetic == PackArithmetic::kInteger);
    std::vector<int8_t> codes(weight.size());
    std::vector<uint16_t> scales(kN * 4);
    REQUIRE_FALSE(QuantizeWeights(weight.data(), kN, kK, bits, 32, WeightSearch::kClipSearch,
                                  codes.data(), scales.data(), {}));
    CHECK(RowMajor(ViewOf(pack)).scales == scales);
    const std::vector<float> dequantized = Dequantized(pack);
    for (size_t i = 0; i < codes.size(); ++i) {
      REQUIRE(dequantized[i] == static_cast<float>(codes[i]) * FloatFromFp16(scales[i / 32]));
    }
  }
}

TEST_CASE("symmetric codes and their scales lie in panels, filled up with weights of value 0") {
  const int64_t n = 41;
  const int64_t k = 75;
  const std::vector<float> weight = GaussianNoise(15, n * k);
  PackRequest request = Request(weight);
  request.out_features = n;
  request.in_features = k;
  for (const int64_t bits : {4, 8}) {
    request.settings.weight.bits = bits;
    const PackContents pack = Build(request);
    CHECK(pack.layout == PackLayout::kPanels);
    std::vector<int8_t> codes(weight.size());
    std::vector<uint16_t> scales(n * 3);
    REQUIRE_FALSE(QuantizeWeights(weight.data(), n, k, bits, 32, WeightSearch::kClipSearch,
                                  codes.data(), scales.data(), {}));
    // By the words of kernels/panels.h: 2 panels of 32 features, 80 inputs.
    REQUIRE(pack.codes.size() == static_cast<size_t>(64 * 80 * bits / 8));
    REQUIRE(pack.scales_fp16.size() == 64 * 3);
    size_t wrong = 0;
    for (int64_t f = 0; f < 64; ++f) {
      for (int64_t i = 0; i < 80; ++i) {
        const int64_t inputs = bits == 4 ? 8 : 4;  // of one piece of 64 bytes
        const int64_t piece = (f / 32 * (80 / inputs) + i / inputs) * 2 + f % 32 / 16;
        const uint8_t byte = pack.codes[static_cast<size_t>(64 * piece + 4 * (f % 16) + i % 4)];
        const int unsigned_code = bits == 8 ? byte : i % 8 < 4 ? byte & 15 : byte >> 4;
        const int code = f < n && i < k ? codes[static_cast<size_t>(f * k + i)] : 0;
        wrong += static_cast<size_t>(unsigned_code != code + (bits == 4 ? 8 : 128));
      }
      for (int64_t g = 0; g < 3; ++g) {
        const uint16_t scale = f < n ? scales[static_cast<size_t>(f * 3 + g)] : uint16_t{0};
        const int64_t at = (f / 32 * 3 + g) * 32 + f % 32;
        wrong += static_cast<size_t>(pack.scales_fp16[static_cast<size_t>(at)] != scale);
      }
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("the bytes of a pack are those that LayerBytes foretells") {
  const std::vector<float> weight = GaussianNoise(16, 41 * 75);
  PackRequest request = Request(weight);
  request.out_features = 41;
  request.in_features = 75;
  SelectedLayer layer;
  layer.linear = {"l", 75, 41, false, true};
  for (const int64_t bits : {3, 4, 8}) {
    for (const int64_t group : {0, 32, 75}) {
      for (const bool symmetric : {true, false}) {
        request.settings.weight = {bits, group, symmetric, WeightRounding::kRtn};
        layer.settings = request.settings;
        CHECK(PackBytes(ViewOf(Build(request))) == BytesOf(layer, Engine::kFake).packed);
      }
    }
  }
}

TEST_CASE("asymmetric packs: unsigned codes and zeros, row by row") {
  std::vector<float> weight = Weight();
  for (float& value : weight) value += 2;
  PackRequest request = Request(weight);
  request.settings.weight.rounding = WeightRounding::kRtn;
  double symmetric_error = 0;
  for (const int64_t bits : {4, 8}) {
    request.settings.weight.bits = bits;
    request.settings.weight.symmetric = true;
    symmetric_error = OutputError(Build(request), weight);
    request.settings.weight.symmetric = false;
    const PackContents pack = Build(request);
    CHECK(pack.layout == PackLayout::kRows);
    CHECK(pack.zeros.size() == pack.scales_fp16.size());
    CHECK(*std::max_element(pack.zeros.begin(), pack.zeros.end()) > 0);
    CHECK(OutputError(pack, weight) < symmetric_error);
  }
}

TEST_CASE("every transform leaves the layer's function alone") {
  const std::vector<float> weight = Weight();
  const LayerCalibration calibration = MakeCalibration();
  std::vector<float> smooth(kK);
  for (size_t c = 0; c < smooth.size(); ++c) smooth[c] = 0.75f + 0.07f * static_cast<float>(c % 9);
  PackRequest request = Request(weight);
  request.calibration = &calibration;
  request.settings.weight.bits = 8;
  for (const bool smoothed : {false, true}) {
    request.smooth = smoothed ? std::span<const float>(smooth) : std::span<const float>();
    for (const Permute permute : {Permute::kOff, Permute::kWeightZigzag, Permute::kActSnake}) {
      for (const RotateIn rotate_in : {RotateIn::kOff, RotateIn::kWeightSvd, RotateIn::kHadamard,
                                       RotateIn::kSvdHadamard, RotateIn::kDuquantGreedy}) {
        for (const RotateOut rotate_out : {RotateOut::kOff, RotateOut::kRestore}) {
          for (const int64_t block : {16, 64}) {
            request.settings.transform.permute = permute;
            request.settings.transform.rotate_in = rotate_in;
            request.settings.transform.rotate_out = rotate_out;
            request.settings.transform.block = block;
            request.settings.transform.block_out = block == 16 ? 32 : 0;
            INFO("smoothed " << smoothed << ", permute " << static_cast<int>(permute)
                             << ", rotate_in " << static_cast<int>(rotate_in) << ", rotate_out "
                             << static_cast<int>(rotate_out) << ", block " << block);
            const PackContents pack = Build(request);
            CHECK(pack.permutation.empty() == (permute == Permute::kOff));
            CHECK(pack.rotate_in == rotate_in);
            CHECK(OutputError(pack, weight) < 0.03);
          }
        }
      }
    }
  }
}

TEST_CASE("weight_svd has a shorter last block; a block of other rotations must divide") {
  const std::vector<float> weight = Weight();
  PackRequest request = Request(weight);
  request.settings.weight.bits = 8;
  request.settings.transform.rotate_in = RotateIn::kWeightSvd;
  request.settings.transform.block = 48;
  const PackContents pack = Build(request);
  CHECK(pack.rotations.size() == 48 * 48 * 2 + 32 * 32);
  CHECK(OutputError(pack, weight) < 0.03);
  for (const RotateIn rotate_in : {RotateIn::kHadamard, RotateIn::kSvdHadamard}) {
    request.settings.transform.rotate_in = rotate_in;
    CHECK(Failure(request).field() == "quant.transform.block");
  }
}

TEST_CASE("act_snake and the greedy rotation see the activations as they will be smoothed") {
  const std::vector<float> weight = Weight();
  const LayerCalibration calibration = MakeCalibration();
  std::vector<float> smooth(kK, 1.0f);
  smooth[7] = 1000;  // the outlier column becomes the smallest
  PackRequest request = Request(weight);
  request.calibration = &calibration;
  request.settings.transform.permute = Permute::kActSnake;
  CHECK(Build(request).permutation == ActivationSnake(calibration.abs_max, 32));
  request.smooth = smooth;
  std::vector<float> magnitudes = calibration.abs_max;
  magnitudes[7] *= 1.0f / 1000;
  CHECK(Build(request).permutation == ActivationSnake(magnitudes, 32));

  request.settings.transform.permute = Permute::kOff;
  request.settings.transform.rotate_in = RotateIn::kDuquantGreedy;
  const std::vector<float> smoothed = Build(request).rotations;
  request.smooth = {};
  CHECK(smoothed != Build(request).rotations);
}

TEST_CASE("transforms of an imported npz pack are used instead of own ones") {
  const std::vector<float> weight = Weight();
  PackRequest request = Request(weight);
  request.settings.weight.bits = 8;
  request.settings.transform.permute = Permute::kWeightZigzag;
  request.settings.transform.rotate_in = RotateIn::kWeightSvd;
  request.settings.transform.rotate_out = RotateOut::kRestore;
  const PackContents own = Build(request);

  NpzPack npz;
  npz.in_features = kK;
  npz.out_features = kN;
  npz.block = 32;
  npz.block_out = 32;
  npz.permutation = own.permutation;
  for (size_t b = 0; b < 4; ++b) {
    const auto first = own.rotations.begin() + static_cast<std::ptrdiff_t>(b * 32 * 32);
    npz.rotations.emplace_back(first, first + 32 * 32);
  }
  npz.output_rotations.emplace_back(own.output_rotations.begin(),
                                    own.output_rotations.begin() + 32 * 32);
  npz.output_rotations.emplace_back(own.output_rotations.begin() + 32 * 32,
                                    own.output_rotations.end());
  request.npz = &npz;
  request.settings.transform.rotate_in = RotateIn::kHadamard;
  request.settings.transform.block = 16;
  const PackContents imported = Build(request);
  CHECK(imported.rotate_in == RotateIn::kWeightSvd);
  CHECK(imported.block == 32);
  CHECK(imported.rotations == own.rotations);
  CHECK(imported.output_rotations == own.output_rotations);
  CHECK(imported.codes == own.codes);

  npz.output_rotations.clear();
  CHECK(Failure(request).field() == "quant.transform.rotate_out");
  npz.in_features = 64;
  CHECK(Failure(request).field() == "pack_cache.import_npz");
}

TEST_CASE("a pack of transforms only has no weights") {
  const std::vector<float> weight = Weight();
  PackRequest request = Request(weight);
  request.arithmetic = PackArithmetic::kNone;
  request.settings.transform.permute = Permute::kWeightZigzag;
  request.settings.transform.rotate_in = RotateIn::kSvdHadamard;
  const PackContents pack = Build(request);
  CHECK(pack.arithmetic == PackArithmetic::kNone);
  CHECK(pack.weight_bits == 0);
  CHECK(pack.codes.empty());
  CHECK(pack.scales_fp16.empty());
  CHECK(pack.rotations.size() == 4 * 32 * 32);
  CHECK(pack.permutation == WeightZigzag(weight, kN, kK));
}

TEST_CASE("what cannot be packed is an error that names layer, option and place") {
  std::vector<float> weight = Weight();
  const std::vector<float> smooth(kK, 1.0f);
  PackRequest request = Request(weight);

  SECTION("NaN in the weight") {
    weight[3 * kK + 9] = std::numeric_limits<float>::quiet_NaN();
    CHECK(Failure(request).message().find("row 3, column 9") != std::string::npos);
  }
  SECTION("a scale above fp16") {
    weight[7 * kK + 40] = 1e7f;
    const Status status = Failure(request);
    CHECK(status.field() == "quant.weight.bits");
    CHECK(status.message().find("row 7, column 32") != std::string::npos);
  }
  SECTION("a rotation that overflows") {
    for (int64_t c = 0; c < 32; ++c) weight[static_cast<size_t>(2 * kK + c)] = 3e38f;
    request.settings.transform.rotate_in = RotateIn::kHadamard;
    CHECK(Failure(request).message().find("overflows at row 2") != std::string::npos);
  }
  SECTION("a weight of another size") {
    request.in_features = kK + 1;
    CHECK(Failure(request).message().find("expected [48, 129]") != std::string::npos);
  }
  SECTION("smoothing of another size, or not positive") {
    request.smooth = std::span<const float>(smooth).first(5);
    CHECK(Failure(request).field() == "quant.transform.smooth.file");
    const std::vector<float> zero(kK, 0.0f);
    request.smooth = zero;
    CHECK(Failure(request).field() == "quant.transform.smooth.file");
  }
  SECTION("calibration data that is missing or of another layer") {
    request.settings.transform.permute = Permute::kActSnake;
    CHECK(Failure(request).field() == "quant.transform.permute");
    request.settings.transform.permute = Permute::kOff;
    request.settings.transform.rotate_in = RotateIn::kDuquantGreedy;
    CHECK(Failure(request).field() == "quant.transform.rotate_in");
    LayerCalibration calibration = MakeCalibration();
    calibration.columns = 64;
    request.calibration = &calibration;
    CHECK(Failure(request).message().find("64 columns, expected 128") != std::string::npos);
    calibration.columns = kK;
    calibration.samples.clear();
    CHECK(Failure(request).message().find("samples of 0 values") != std::string::npos);
  }
  SECTION("more input features than the integer arithmetic can add up") {
    const std::vector<float> row(65537, 1.0f);
    request.out_features = 1;
    request.weight = row;
    request.in_features = 65537;
    const Status status = Failure(request);
    CHECK(status.field() == "quant.engine");
    CHECK(status.message().find("65537 input features") != std::string::npos);
    CHECK(status.message().find("at most 65536") != std::string::npos);
    // Without integer arithmetic there is no such limit.
    request.settings.weight.symmetric = false;
    CHECK(BuildPack(request).ok());
    request.settings.weight.symmetric = true;
    request.weight = std::span(row).first(65536);
    request.in_features = 65536;
    CHECK(BuildPack(request).ok());
  }
  SECTION("bits, groups and modes that integer packs do not have") {
    request.settings.weight.bits = 0;
    CHECK(Failure(request).field() == "quant.weight.bits");
    request.settings.weight.bits = 9;
    CHECK(Failure(request).field() == "quant.weight.bits");
    request.settings.weight.bits = 4;
    request.settings.weight.group = -1;
    CHECK(Failure(request).field() == "quant.weight.group");
    request.settings.weight.group = 0;
    request.settings.transform.rotate_out = RotateOut::kPropagate;
    CHECK(Failure(request).field() == "quant.transform.rotate_out");
  }
}

}  // namespace
}  // namespace vlaserve
