// What is recorded of a linear's inputs (CALIBRATION_FORMAT.md, "Choice of rows").
#include "quant/calibration/recorder.h"

#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include "tests/support/catch.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)

namespace {

// Rows [begin, end) of two columns: row r is (r, -r).
std::vector<float> Rows(int begin, int end) {
  std::vector<float> rows;
  for (int r = begin; r < end; ++r) {
    rows.push_back(static_cast<float>(r));
    rows.push_back(static_cast<float>(-r));
  }
  return rows;
}

// Numbers of the rows kept of a step; fails the test if one is not a row of Rows or kept twice.
std::set<int> Kept(const LayerCalibration& layer, size_t step) {
  std::set<int> kept;
  for (size_t i = 0; i < layer.samples.at(step).size(); i += 2) {
    CHECK(layer.samples[step][i] == -layer.samples[step][i + 1]);
    CHECK(kept.insert(static_cast<int>(layer.samples[step][i])).second);
  }
  return kept;
}

}  // namespace

TEST_CASE("the largest magnitudes are those of all rows, kept or not") {
  LayerRecorder recorder(2, /*max_rows=*/1, /*seed=*/0);
  REQUIRE(!recorder.Record(std::vector<float>{1, -5, -3, 2}, 0));
  REQUIRE(!recorder.Record(std::vector<float>{0.5, 4, 2, -1}, 7));
  CHECK(recorder.layer().abs_max == std::vector<float>{3, 5});
  CHECK(recorder.layer().tokens == 4);
  CHECK(recorder.layer().columns == 2);
}

TEST_CASE("rows are kept step by step, never more than asked for") {
  LayerRecorder recorder(2, /*max_rows=*/8, /*seed=*/3);
  REQUIRE(!recorder.Record(Rows(0, 5), 0));
  REQUIRE(!recorder.Record(Rows(100, 130), 2));
  REQUIRE(!recorder.Record(Rows(130, 200), 2));
  const LayerCalibration& layer = recorder.layer();
  REQUIRE(layer.samples.size() == 3);
  CHECK(Kept(layer, 0) == std::set<int>{0, 1, 2, 3, 4});
  CHECK(layer.samples[1].empty());
  const std::set<int> kept = Kept(layer, 2);
  CHECK(kept.size() == 8);
  CHECK(*kept.begin() >= 100);
}

TEST_CASE("how the rows are cut into calls makes no difference") {
  LayerRecorder whole(2, 16, 11);
  LayerRecorder parts(2, 16, 11);
  REQUIRE(!whole.Record(Rows(0, 500), 1));
  for (int begin = 0; begin < 500; begin += 50) {
    REQUIRE(!parts.Record(Rows(begin, begin + 50), 1));
  }
  CHECK(whole.layer().samples == parts.layer().samples);
}

TEST_CASE("seed and step choose the rows") {
  LayerRecorder recorder(2, 16, 1);
  LayerRecorder same(2, 16, 1);
  LayerRecorder other(2, 16, 2);
  for (int step = 0; step < 2; ++step) {
    REQUIRE(!recorder.Record(Rows(0, 500), step));
    REQUIRE(!same.Record(Rows(0, 500), step));
    REQUIRE(!other.Record(Rows(0, 500), step));
  }
  CHECK(recorder.layer().samples == same.layer().samples);
  CHECK(Kept(recorder.layer(), 0) != Kept(other.layer(), 0));
  CHECK(Kept(recorder.layer(), 0) != Kept(recorder.layer(), 1));
}

TEST_CASE("every row is kept with the same probability") {
  // 20 of 100 rows, 400 seeds: each row is kept 80 times on average with a standard deviation of 8.
  std::vector<int> counts(100);
  for (int seed = 0; seed < 400; ++seed) {
    LayerRecorder recorder(2, 20, seed);
    REQUIRE(!recorder.Record(Rows(0, 100), 0));
    for (const int row : Kept(recorder.layer(), 0)) ++counts[static_cast<size_t>(row)];
  }
  for (const int count : counts) {
    CHECK(count > 80 - 5 * 8);
    CHECK(count < 80 + 5 * 8);
  }
}

TEST_CASE("a row with NaN or Inf is named and nothing is recorded") {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    LayerRecorder recorder(2, 4, 0);
    CHECK(recorder.Record(std::vector<float>{1, 2, 3, bad, 5, 6}, 0) == 1);
    CHECK(recorder.layer().tokens == 0);
    CHECK(recorder.layer().abs_max == std::vector<float>{0, 0});
  }
}

TEST_CASE("no rows are kept if none are asked for") {
  LayerRecorder recorder(2, 0, 0);
  REQUIRE(!recorder.Record(Rows(0, 5), 0));
  CHECK(recorder.layer().samples.at(0).empty());
  CHECK(recorder.layer().abs_max == std::vector<float>{4, 4});
}
