// A pack's weight against its source, whatever has been done to both.
#include "quant/report/weight_error.h"

#include <vector>

#include <ATen/ATen.h>

#include "kernels/quantize.h"
#include "quant/pack/packer.h"
#include "tests/support/catch.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)

namespace {

constexpr int64_t kOut = 48;
constexpr int64_t kIn = 64;

// Uneven rows and columns, so that a transform in the wrong place or direction shows.
std::vector<float> TestWeight() {
  std::vector<float> weight;
  uint32_t state = 7;
  for (int64_t n = 0; n < kOut; ++n) {
    for (int64_t k = 0; k < kIn; ++k) {
      state = state * 1664525U + 1013904223U;
      const float noise = static_cast<float>(state >> 8) / static_cast<float>(1U << 24) - 0.5F;
      weight.push_back(noise * static_cast<float>(1 + k % 5) * static_cast<float>(1 + n % 3));
    }
  }
  return weight;
}

PackRequest Request(const std::vector<float>& weight, int64_t bits) {
  PackRequest request;
  request.name = "layer";
  request.weight = weight;
  request.out_features = kOut;
  request.in_features = kIn;
  request.settings.weight = {.bits = bits, .group = 0, .rounding = WeightRounding::kRtn};
  request.settings.transform = {.rotate_in = RotateIn::kOff, .block = 16};
  return request;
}

ErrorSums ErrorsOf(const PackRequest& request) {
  auto contents = BuildPack(request);
  INFO(contents.status().message());
  REQUIRE(contents.ok());
  const at::Tensor weight =
      at::tensor(at::ArrayRef<float>(request.weight.data(), request.weight.size()))
          .reshape({kOut, kIn});
  return WeightErrors(ViewOf(*std::move(contents)), weight);
}

}  // namespace

TEST_CASE("without transforms the error is that of rounding, computed by hand") {
  const std::vector<float> weight = TestWeight();
  std::vector<int8_t> codes(weight.size());
  std::vector<uint16_t> scales(kOut);
  REQUIRE(!QuantizeWeights(weight.data(), kOut, kIn, 4, 0, WeightSearch::kRtn, codes.data(),
                           scales.data(), {}));
  double error = 0;
  double energy = 0;
  for (size_t i = 0; i < weight.size(); ++i) {
    const double back = codes[i] * FloatFromFp16(scales[i / kIn]);
    error += (back - weight[i]) * (back - weight[i]);
    energy += double{weight[i]} * weight[i];
  }
  const ErrorSums sums = ErrorsOf(Request(weight, 4));
  CHECK(sums.values == kOut * kIn);
  CHECK(sums.Nmse() == Approx(error / energy));
  CHECK(sums.Nmse() > 1e-4);
}

TEST_CASE("transforms that both sides have undergone are no error") {
  const std::vector<float> weight = TestWeight();
  std::vector<float> smooth;
  for (int64_t k = 0; k < kIn; ++k) smooth.push_back(0.5F + 0.25F * static_cast<float>(k % 7));
  std::vector<TransformSettings> transforms(5, TransformSettings{.block = 16});
  transforms[0].rotate_in = RotateIn::kOff;
  transforms[0].smooth = SmoothMode::kFile;
  transforms[1].rotate_in = RotateIn::kOff;
  transforms[1].permute = Permute::kWeightZigzag;
  transforms[2].rotate_in = RotateIn::kHadamard;
  transforms[3].rotate_in = RotateIn::kWeightSvd;
  transforms[3].rotate_out = RotateOut::kRestore;
  transforms[4].rotate_in = RotateIn::kSvdHadamard;
  transforms[4].smooth = SmoothMode::kFile;
  transforms[4].permute = Permute::kWeightZigzag;
  transforms[4].rotate_out = RotateOut::kRestore;
  for (const PackArithmetic arithmetic : {PackArithmetic::kInteger, PackArithmetic::kLegacyF32}) {
    for (size_t i = 0; i < transforms.size(); ++i) {
      INFO("transform " << i << ", arithmetic " << static_cast<int>(arithmetic));
      PackRequest request = Request(weight, 8);
      request.arithmetic = arithmetic;
      request.settings.transform = transforms[i];
      if (transforms[i].smooth == SmoothMode::kFile) request.smooth = smooth;
      const ErrorSums sums = ErrorsOf(request);
      CHECK(sums.Nmse() < 1e-4);  // two weights that were not transformed alike: around 1
      CHECK(sums.Nmse() > 0);
    }
  }
}

TEST_CASE("a pack without quantized weights has no error") {
  const std::vector<float> weight = TestWeight();
  PackRequest request = Request(weight, 0);
  request.arithmetic = PackArithmetic::kNone;
  const ErrorSums sums = ErrorsOf(request);
  CHECK(sums.error == 0);
  CHECK(sums.reference > 0);
}
