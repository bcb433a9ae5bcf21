#include "quant/report/comparing_engine.h"

#include <memory>

#include <ATen/ATen.h>

#include "tests/support/catch.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)

namespace {

// Half of what the float layer without bias gives.
class HalvingEngine : public LinearEngine {
 public:
  explicit HalvingEngine(at::Tensor weight) : weight_(std::move(weight)) {}
  at::Tensor Forward(const at::Tensor& x) override { return at::linear(x, weight_) / 2; }

 private:
  at::Tensor weight_;
};

}  // namespace

TEST_CASE("the float layer answers; the quantized one is only compared") {
  const at::Tensor weight = at::arange(6, at::kFloat).reshape({2, 3}) - 2;
  const at::Tensor x = at::ones({1, 4, 3}, at::kFloat);
  const auto sums = std::make_shared<ErrorSums>();
  ComparingEngine engine(weight, {}, std::make_unique<HalvingEngine>(weight), sums);
  CHECK(at::equal(engine.Forward(x), at::linear(x, weight)));
  CHECK(sums->values == 8);
  CHECK(sums->Nmse() == Approx(0.25));
  CHECK(sums->Cosine() == Approx(1));
}

TEST_CASE("weights stored in another dtype are converted to the input's") {
  const at::Tensor weight = at::full({2, 3}, 1.0F + 1.0F / 256, at::kFloat);  // 1 in bfloat16
  const at::Tensor x = at::ones({4, 3}, at::kBFloat16);
  const auto sums = std::make_shared<ErrorSums>();
  ComparingEngine engine(weight, {}, std::make_unique<HalvingEngine>(weight.to(at::kBFloat16)),
                         sums);
  const at::Tensor y = engine.Forward(x);
  CHECK(y.scalar_type() == at::kBFloat16);
  CHECK(at::equal(y, at::linear(x, weight.to(at::kBFloat16))));
  CHECK(sums->largest == 1.5);
}
