#include "model/transforms/actions.h"

#include <cstddef>
#include <string>
#include <vector>

#include "tests/support/catch.h"
#include "tests/support/golden.h"
#include "tests/support/matchers.h"

namespace vlaserve {
namespace {

std::vector<double> Flattened(const nlohmann::json& rows) {
  std::vector<double> values;
  for (const auto& row : rows) {
    for (const auto& value : row) values.push_back(GoldenNumber(value));
  }
  return values;
}

TEST_CASE("golden: delta actions become absolute", "[actions]") {
  size_t cases = 0;
  const nlohmann::json golden = ReadGoldenJson("transforms/delta_actions.json");
  for (const auto& expected : golden.at("cases")) {
    CAPTURE(expected.at("name").get<std::string>());
    std::vector<bool> mask;
    if (!expected.at("mask").is_null()) {
      for (const auto& bit : expected.at("mask")) mask.push_back(bit.get<int>() != 0);
    }
    const auto state = expected.at("state").get<std::vector<double>>();
    const auto width = static_cast<int64_t>(expected.at("actions").at(0).size());
    std::vector<double> actions = Flattened(expected.at("actions"));
    const Status status = AddStateToDeltaActions(mask, state, width, actions);
    REQUIRE(status.ok());
    const std::vector<double> absolute = Flattened(expected.at("absolute"));
    REQUIRE(actions.size() == absolute.size());
    for (size_t i = 0; i < actions.size(); ++i) {
      CHECK(actions[i] == Approx(absolute[i]).epsilon(1e-12).margin(1e-300));
    }
    ++cases;
  }
  ReportGoldenCases("delta_actions", cases);
}

TEST_CASE("a mask that is too wide is refused", "[actions]") {
  std::vector<double> actions(6, 1.0);
  const Status wide =
      AddStateToDeltaActions({true, true, true}, std::vector<double>(8), 2, actions);
  CHECK(wide.code() == StatusCode::kInvalidArgument);
  CHECK_THAT(wide.message(), ContainsText("3 dimensions"));
  const Status short_state =
      AddStateToDeltaActions({true, true, true}, std::vector<double>(2), 3, actions);
  CHECK(short_state.code() == StatusCode::kInvalidArgument);
  CHECK(actions == std::vector<double>(6, 1.0));
}

TEST_CASE("the first columns of every row are kept", "[actions]") {
  CHECK(FirstColumns(std::vector<double>{1, 2, 3, 4, 5, 6}, 3, 2) ==
        std::vector<double>{1, 2, 4, 5});
  CHECK(FirstColumns(std::vector<double>{1, 2, 3, 4}, 2, 2) == std::vector<double>{1, 2, 3, 4});
}

}  // namespace
}  // namespace vlaserve
