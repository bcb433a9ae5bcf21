// The engine transforms_only equals the float layer whatever the transforms.
#include "quant/engine/transforms_only_engine.h"

#include <limits>

#include <ATen/ATen.h>

#include "quant/pack/packer.h"
#include "tests/support/catch.h"
#include "tests/support/matchers.h"

namespace vlaserve {
namespace {

constexpr int64_t kN = 44;
constexpr int64_t kK = 96;

at::Tensor Numbers(int64_t rows, int64_t columns, double seed) {
  return (at::sin(at::arange(rows * columns, at::kFloat) * 1.3 + seed)).reshape({rows, columns});
}

EngineInputs InputsFor(const LayerSettings& settings, const std::vector<float>& smooth,
                       const LayerCalibration& calibration) {
  EngineInputs inputs;
  inputs.weight = Numbers(kN, kK, 1);
  PackRequest request;
  request.name = inputs.name = "vision.fc2";
  request.weight = {inputs.weight.const_data_ptr<float>(), static_cast<size_t>(kN * kK)};
  request.out_features = kN;
  request.in_features = kK;
  request.settings = settings;
  request.arithmetic = PackArithmetic::kNone;
  request.smooth = smooth;
  request.calibration = &calibration;
  auto contents = BuildPack(request);
  INFO(contents.status().message());
  REQUIRE(contents.ok());
  inputs.pack = ViewOf(*std::move(contents));
  inputs.settings = settings;
  inputs.bias = Numbers(1, kN, 9).reshape({kN});
  return inputs;
}

LayerCalibration Recorded() {
  LayerCalibration calibration;
  calibration.columns = kK;
  const at::Tensor x = Numbers(8, kK, 4);
  const at::Tensor largest = at::amax(at::abs(x), 0);
  calibration.abs_max = {largest.const_data_ptr<float>(), largest.const_data_ptr<float>() + kK};
  calibration.samples = {{x.const_data_ptr<float>(), x.const_data_ptr<float>() + x.numel()}};
  return calibration;
}

TEST_CASE("transforms_only equals the float layer for every transform and block size") {
  const LayerCalibration calibration = Recorded();
  const at::Tensor x = Numbers(5, kK, 3);
  std::vector<float> smooth;
  for (int64_t c = 0; c < kK; ++c) smooth.push_back(0.5F + static_cast<float>(c % 7));
  int cases = 0;
  for (const Permute permute : {Permute::kOff, Permute::kWeightZigzag, Permute::kActSnake}) {
    for (const RotateIn rotate : {RotateIn::kOff, RotateIn::kWeightSvd, RotateIn::kHadamard,
                                  RotateIn::kSvdHadamard, RotateIn::kDuquantGreedy}) {
      for (const int64_t block : {16, 32, 64}) {
        // As NarrowBlock does: only the weight's SVD takes a shorter last block.
        if (rotate != RotateIn::kWeightSvd && kK % block != 0) continue;
        for (const RotateOut out : {RotateOut::kOff, RotateOut::kRestore}) {
          LayerSettings settings;
          settings.transform = {SmoothMode::kFile, permute, rotate, block, out, 0};
          INFO(static_cast<int>(permute) << " " << static_cast<int>(rotate) << " " << block);
          EngineInputs inputs = InputsFor(settings, smooth, calibration);
          const at::Tensor expected =
              at::matmul(x.to(at::kDouble), inputs.weight.to(at::kDouble).t()) + inputs.bias;
          auto engine = MakeTransformsOnlyEngine(std::move(inputs));
          REQUIRE(engine.ok());
          const double largest = at::amax(at::abs(expected)).item<double>();
          CHECK(at::amax(at::abs((*engine)->Forward(x) - expected)).item<double>() <=
                1e-5 * largest);
          ++cases;
        }
      }
    }
  }
  CHECK(cases > 50);
}

TEST_CASE("transforms_only keeps dtype and shape and refuses what is not finite") {
  LayerSettings settings;
  settings.transform.block = 32;
  const LayerCalibration calibration = Recorded();
  auto engine = MakeTransformsOnlyEngine(InputsFor(settings, {}, calibration));
  REQUIRE(engine.ok());
  const at::Tensor x = Numbers(6, kK, 2).reshape({2, 3, kK});
  const at::Tensor y = (*engine)->Forward(x.to(at::kBFloat16));
  CHECK(y.scalar_type() == at::kBFloat16);
  CHECK(y.sizes() == at::IntArrayRef({2, 3, kN}));
  at::Tensor bad = x.clone();
  bad[1][2][5] = std::numeric_limits<float>::infinity();
  CHECK_THROWS_WITH((*engine)->Forward(bad), ContainsText("vision.fc2: NaN or Inf"));
}

TEST_CASE("transforms_only refuses a weight of another shape and propagated rotations") {
  LayerSettings settings;
  settings.transform.block = 32;
  settings.transform.rotate_out = RotateOut::kRestore;
  const LayerCalibration calibration = Recorded();
  EngineInputs inputs = InputsFor(settings, {}, calibration);
  inputs.weight = Numbers(kN, kK + 1, 1);
  auto engine = MakeTransformsOnlyEngine(inputs);
  REQUIRE(!engine.ok());
  CHECK_THAT(engine.status().message(), ContainsText("vision.fc2: the weight is not [44, 96]"));
  inputs.weight = Numbers(kN, kK, 1);
  inputs.pack.rotate_out = RotateOut::kPropagate;
  engine = MakeTransformsOnlyEngine(inputs);
  REQUIRE(!engine.ok());
  CHECK(engine.status().field() == "quant.transform.rotate_out");
}

}  // namespace
}  // namespace vlaserve
