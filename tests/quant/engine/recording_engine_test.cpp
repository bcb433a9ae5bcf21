// The float linear that records its inputs.
#include "quant/engine/recording_engine.h"

#include <limits>
#include <memory>

#include <ATen/ATen.h>

#include "tests/support/catch.h"
#include "tests/support/matchers.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)

namespace {

struct Recorded {
  std::shared_ptr<LayerRecorder> recorder;
  std::shared_ptr<EngineObserver> observer =
      std::make_shared<EngineObserver>(EngineObserver::Options{});
  std::unique_ptr<RecordingEngine> engine;
};

Recorded Make(const at::Tensor& weight, const at::Tensor& bias) {
  Recorded recorded;
  recorded.recorder = std::make_shared<LayerRecorder>(weight.size(1), /*max_rows=*/100, /*seed=*/0);
  recorded.engine = std::make_unique<RecordingEngine>("a.q_proj", weight, bias, recorded.recorder,
                                                      recorded.observer);
  return recorded;
}

// Distinct values, exact in bfloat16.
at::Tensor Ramp(at::IntArrayRef shape) {
  return (at::arange(c10::multiply_integers(shape), at::kFloat).remainder(61) - 30)
      .div(16)
      .reshape(shape);
}

}  // namespace

TEST_CASE("the recording engine computes what aten::linear computes, bit by bit") {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const at::Tensor weight = Ramp({5, 8}).to(dtype);
    const at::Tensor bias = Ramp({5}).to(dtype);
    const at::Tensor x = Ramp({2, 3, 8}).to(dtype);
    const at::Tensor y = Make(weight, bias).engine->Forward(x);
    CHECK(y.scalar_type() == dtype);
    CHECK(at::equal(y, at::linear(x, weight, bias)));
    CHECK(at::equal(Make(weight, {}).engine->Forward(x), at::linear(x, weight)));
  }
}

TEST_CASE("every row of the input is recorded under the denoise step of the observer") {
  const Recorded recorded = Make(Ramp({5, 8}), {});
  const at::Tensor x = Ramp({2, 3, 8});
  recorded.engine->Forward(x);
  recorded.observer->denoise_step = 2;
  recorded.engine->Forward(x.narrow(1, 0, 1).mul(2));
  const LayerCalibration& layer = recorded.recorder->layer();
  CHECK(layer.tokens == 6 + 2);
  REQUIRE(layer.samples.size() == 3);
  CHECK(layer.samples[0].size() == 6 * 8);
  CHECK(layer.samples[1].empty());
  CHECK(layer.samples[2].size() == 2 * 8);
  const float* values = x.const_data_ptr<float>();
  CHECK(layer.samples[0] == std::vector<float>(values, values + x.numel()));
  CHECK(layer.samples[2][0] == 2 * values[0]);
}

TEST_CASE("an input with NaN is an error that names the linear and the row, and is not recorded") {
  const Recorded recorded = Make(Ramp({5, 8}), {});
  const at::Tensor x = Ramp({3, 8});
  x[1][4] = std::numeric_limits<float>::quiet_NaN();
  std::string message;
  try {
    recorded.engine->Forward(x);
  } catch (const c10::Error& error) {
    message = error.what_without_backtrace();
  }
  CHECK_THAT(message, ContainsText("a.q_proj"));
  CHECK_THAT(message, ContainsText("row 1"));
  CHECK(recorded.recorder->layer().tokens == 0);
}
