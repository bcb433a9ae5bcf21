// Percentiles as torch.quantile computes them.
#include "quant/engine/quantile.h"

#include <cmath>
#include <limits>

#include "tests/support/catch.h"

namespace vlaserve {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST_CASE("quantiles interpolate between the two nearest values, column by column") {
  const std::vector<float> x = {4, 10, 1, 40, 3, 30, 2, 20};  // columns {4, 1, 3, 2}, {10, 40 …}
  CHECK(ColumnQuantiles(x.data(), 4, 2, 0) == std::vector<float>{1, 10});
  CHECK(ColumnQuantiles(x.data(), 4, 2, 50) == std::vector<float>{2.5F, 25});
  CHECK(ColumnQuantiles(x.data(), 4, 2, 100) == std::vector<float>{4, 40});
}

TEST_CASE("one row is its own quantile; Inf minus itself is NaN, as in torch") {
  const std::vector<float> x = {3, kInf};
  const std::vector<float> quantiles = ColumnQuantiles(x.data(), 1, 2, 99.9);
  CHECK(quantiles[0] == 3);
  CHECK(std::isnan(quantiles[1]));
}

TEST_CASE("more columns than are looked at together") {
  constexpr int64_t kColumns = 37;
  std::vector<float> x;
  for (int64_t row = 0; row < 3; ++row) {
    for (int64_t c = 0; c < kColumns; ++c) x.push_back(static_cast<float>(c * 10 + row));
  }
  const std::vector<float> medians = ColumnQuantiles(x.data(), 3, kColumns, 50);
  REQUIRE(medians.size() == kColumns);
  for (size_t c = 0; c < medians.size(); ++c) {
    CHECK(medians[c] == static_cast<float>(c) * 10 + 1);
  }
}

TEST_CASE("NaN anywhere in a column gives NaN, Inf by the interpolation's arithmetic") {
  const std::vector<float> x = {kNan, kInf, 1, 2, 2, 3};
  const std::vector<float> high = ColumnQuantiles(x.data(), 3, 2, 90);
  CHECK(std::isnan(high[0]));
  CHECK(std::isnan(high[1]));  // fma(-Inf, 1 - w, Inf)
  const std::vector<float> low = ColumnQuantiles(x.data(), 3, 2, 60);
  CHECK(low[1] == kInf);  // fma(w, Inf, a)
  CHECK(ColumnQuantiles(x.data(), 3, 2, 50)[1] == 3);
}

}  // namespace
}  // namespace vlaserve
