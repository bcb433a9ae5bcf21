#include "model/transforms/normalize.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/catch.h"
#include "tests/support/golden.h"
#include "tests/support/matchers.h"

namespace vlaserve {
namespace {

std::vector<double> Numbers(const nlohmann::json& array) {
  std::vector<double> values;
  for (const auto& value : array) values.push_back(GoldenNumber(value));
  return values;
}

Statistics ReadStatistics(const nlohmann::json& json) {
  Statistics statistics;
  statistics.mean = Numbers(json.at("mean"));
  statistics.std = Numbers(json.at("std"));
  if (!json.at("q01").is_null()) statistics.q01 = Numbers(json.at("q01"));
  if (!json.at("q99").is_null()) statistics.q99 = Numbers(json.at("q99"));
  return statistics;
}

// Largest difference relative to the expected value.
double MaxRelDiff(const std::vector<double>& expected, const std::vector<double>& found) {
  if (expected.size() != found.size()) return INFINITY;
  double largest = 0.0;
  for (size_t i = 0; i < expected.size(); ++i) {
    if (expected[i] == found[i]) continue;
    largest = std::max(largest, std::abs(found[i] - expected[i]) / std::abs(expected[i]));
  }
  return largest;
}

TEST_CASE("golden: openpi's normalisation in both directions", "[normalize]") {
  size_t cases = 0;
  const nlohmann::json golden = ReadGoldenJson("transforms/normalize.json");
  for (const auto& expected : golden.at("cases")) {
    const std::string mode = expected.at("mode").get<std::string>();
    const std::string operation = expected.at("op").get<std::string>();
    CAPTURE(expected.at("name").get<std::string>(), operation, mode);
    REQUIRE((mode == "z_score" || mode == "quantile"));
    REQUIRE((operation == "normalize" || operation == "unnormalize"));
    const Statistics statistics = ReadStatistics(expected.at("stats"));
    const Normalization normalization =
        mode == "z_score" ? Normalization::kZScore : Normalization::kQuantile;
    const bool is_float = expected.at("dtype") == "<f4";
    for (size_t row = 0; row < expected.at("x").size(); ++row) {
      const std::vector<double> x = Numbers(expected.at("x").at(row));
      const std::vector<float> x_float(x.begin(), x.end());
      const auto width = static_cast<int64_t>(x.size());
      const auto y =
          operation == "normalize" ? Normalize(x, statistics, normalization, Convention::kOpenpi)
          : is_float ? Unnormalize(x_float, width, statistics, normalization, Convention::kOpenpi)
                     : Unnormalize(x, width, statistics, normalization, Convention::kOpenpi);
      REQUIRE(y.ok());
      CHECK(MaxRelDiff(Numbers(expected.at("y").at(row)), *y) <= 1e-12);
    }
    ++cases;
  }
  ReportGoldenCases("normalize", cases);
}

TEST_CASE("golden: states are padded with zeros and never cut", "[normalize]") {
  size_t cases = 0;
  const nlohmann::json golden = ReadGoldenJson("transforms/normalize.json");
  for (const auto& expected : golden.at("pad_state")) {
    CHECK(PadWithZeros(Numbers(expected.at("x")), expected.at("to").get<int64_t>()) ==
          Numbers(expected.at("y")));
    ++cases;
  }
  ReportGoldenCases("normalize: pad_state", cases);
}

TEST_CASE("rows of several actions are un-normalised column by column", "[normalize]") {
  Statistics statistics;
  statistics.mean = {1.0, 2.0};
  statistics.std = {10.0, 20.0};
  const std::vector<double> rows = {1.0, 1.0, 5.0, 2.0, 2.0, 6.0};
  const auto y = Unnormalize(rows, 3, statistics, Normalization::kZScore, Convention::kLerobot);
  REQUIRE(y.ok());
  CHECK(*y == std::vector<double>{11.0, 22.0, 5.0, 21.0, 42.0, 6.0});
}

TEST_CASE("LeRobot's conventions: float32, its own epsilons", "[normalize]") {
  Statistics statistics;
  statistics.mean = {0.5, 0.0};
  statistics.std = {0.0, 0.25};
  statistics.q01 = {0.5, -1.0};
  statistics.q99 = {0.5, 3.0};
  const std::vector<double> x = {0.75, 0.1};

  const auto z = Normalize(x, statistics, Normalization::kZScore, Convention::kLerobot);
  REQUIRE(z.ok());
  CHECK(z->at(0) == static_cast<double>(0.25f / 1e-8f));
  CHECK(z->at(1) == static_cast<double>(0.1f / (0.25f + 1e-8f)));

  const auto q = Normalize(x, statistics, Normalization::kQuantile, Convention::kLerobot);
  REQUIRE(q.ok());
  CHECK(q->at(0) == static_cast<double>(2.0f * 0.25f / 1e-8f - 1.0f));
  CHECK(q->at(1) == static_cast<double>(2.0f * (0.1f + 1.0f) / 4.0f - 1.0f));

  const auto back = Unnormalize(std::vector<double>{0.2, 0.2}, 2, statistics,
                                Normalization::kZScore, Convention::kLerobot);
  REQUIRE(back.ok());
  CHECK(back->at(0) == 0.5);
  CHECK(back->at(1) == static_cast<double>(0.2f * 0.25f));
}

TEST_CASE("statistics that do not fit are errors, never an identity", "[normalize]") {
  Statistics statistics;
  statistics.mean = std::vector<double>(8);
  statistics.std = std::vector<double>(8, 1.0);

  const auto wide =
      Normalize(std::vector<double>(9), statistics, Normalization::kZScore, Convention::kOpenpi);
  CHECK(wide.status().code() == StatusCode::kInvalidArgument);
  CHECK_THAT(wide.status().message(), ContainsText("9 dimensions"));

  const auto narrow = Unnormalize(std::vector<double>(14), 7, statistics, Normalization::kZScore,
                                  Convention::kOpenpi);
  CHECK(narrow.status().code() == StatusCode::kInvalidArgument);
  CHECK_THAT(narrow.status().message(), ContainsText("7 dimensions"));

  const auto quantile =
      Normalize(std::vector<double>(8), statistics, Normalization::kQuantile, Convention::kOpenpi);
  CHECK(quantile.status().code() == StatusCode::kFailedPrecondition);
  CHECK_THAT(quantile.status().message(), ContainsText("q01 and q99"));
}

}  // namespace
}  // namespace vlaserve
