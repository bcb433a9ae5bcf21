#include "quant/report/error_sums.h"

#include <cmath>
#include <limits>
#include <vector>

#include "quant/report/chunks.h"
#include "tests/support/catch.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)

namespace {

ErrorSums SumsOf(const std::vector<float>& quantized, const std::vector<float>& reference) {
  ErrorSums sums;
  sums.Add(quantized, reference);
  return sums;
}

}  // namespace

TEST_CASE("NMSE, cosine and differences of known numbers") {
  // Differences 1, 0, -2; reference energy 1 + 4 + 4.
  const ErrorSums sums = SumsOf({2, 2, 0}, {1, 2, 2});
  CHECK(sums.values == 3);
  CHECK(sums.Nmse() == Approx(5.0 / 9));
  CHECK(sums.Cosine() == Approx(6 / (std::sqrt(8.0) * 3)));
  CHECK(sums.MeanAbsolute() == Approx(1));
  CHECK(sums.largest == 2);
}

TEST_CASE("sums over several calls are those of one") {
  ErrorSums parts = SumsOf({2, 2}, {1, 2});
  parts.Add(std::vector<float>{0}, std::vector<float>{2});
  const ErrorSums whole = SumsOf({2, 2, 0}, {1, 2, 2});
  CHECK(parts.Nmse() == whole.Nmse());
  CHECK(parts.Cosine() == whole.Cosine());
  CHECK(parts.values == 3);
}

TEST_CASE("equal numbers have no error; zeros are no division by zero") {
  CHECK(SumsOf({1, -2}, {1, -2}).Nmse() == 0);
  CHECK(SumsOf({1, -2}, {1, -2}).Cosine() == Approx(1));
  CHECK(SumsOf({0, 0}, {0, 0}).Nmse() == 0);
  CHECK(SumsOf({0, 0}, {0, 0}).Cosine() == 1);
  CHECK(std::isinf(SumsOf({1, 0}, {0, 0}).Nmse()));
  CHECK(SumsOf({1, 0}, {0, 0}).Cosine() == 0);
  CHECK(ErrorSums{}.MeanAbsolute() == 0);
}

TEST_CASE("a NaN is never a small error") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  ErrorSums sums = SumsOf({nan, 1}, {0, 1});
  CHECK(std::isnan(sums.Nmse()));
  CHECK(std::isnan(sums.largest));
  sums.Add(std::vector<float>{1}, std::vector<float>{2});
  CHECK(std::isnan(sums.MeanAbsolute()));
}

TEST_CASE("chunks are compared in the columns that count") {
  const std::vector<NamedInput> inputs = {{"a", {}}, {"b", {}}};
  const std::vector<Chunk> reference = {{1, 2, 9, 3, 4, 9}, {1, 0, 0, 0, 1, 0}};
  const std::vector<Chunk> quantized = {{1, 2, 0, 3, 4.5F, 0}, {1, 0, 5, 0, 1, 5}};
  const auto chunks = CompareChunks(inputs, quantized, reference, /*width=*/3, /*columns=*/2);
  REQUIRE(chunks.size() == 2);
  CHECK(chunks[0].name == "a");
  CHECK(chunks[0].max_abs_diff == 0.5);
  CHECK(chunks[0].mean_abs_diff == 0.125);
  CHECK(chunks[1].max_abs_diff == 0);
  CHECK(chunks[1].cosine == Approx(1));
}

TEST_CASE("the summary has the largest difference and the mean, median and smallest cosine") {
  const auto summary = Summarize(std::vector<ChunkComparison>{
      {"a", 0.5, 0.1, 0.9}, {"b", 0.25, 0.3, 0.5}, {"c", 0.125, 0.2, 1.0}, {"d", 0.1, 0, 0.8}});
  CHECK(summary.max_abs_diff == 0.5);
  CHECK(summary.mean_abs_diff == Approx(0.15));
  CHECK(summary.cosine_mean == Approx(0.8));
  CHECK(summary.cosine_median == Approx(0.85));
  CHECK(summary.cosine_min == 0.5);
}
