#include "model/policy/denoise_times.h"

#include <cstdint>
#include <vector>

#include "tests/support/catch.h"

namespace vlaserve {

TEST_CASE("openpi's denoise times accumulate in float32") {
  // spec pi0.md §2.9, observed in the reference
  const std::vector<float> expected = {1.0F,          0.8999999762F, 0.7999999523F, 0.6999999285F,
                                       0.5999999046F, 0.4999999106F, 0.3999999166F, 0.2999999225F,
                                       0.1999999285F, 0.0999999270F};
  CHECK(DenoiseTimes(TimeSteps::kOpenpi, 10) == expected);
}

TEST_CASE("LeRobot's denoise times are each rounded once") {
  const std::vector<float> expected = {1.0F, 0.9F, 0.8F, 0.7F, 0.6F, 0.5F, 0.4F, 0.3F, 0.2F, 0.1F};
  const std::vector<float> times = DenoiseTimes(TimeSteps::kLerobot, 10);
  REQUIRE(times.size() == expected.size());
  for (size_t i = 0; i < times.size(); ++i) {
    CHECK(times[i] == static_cast<float>(1.0 + static_cast<double>(i) * -0.1));
    CHECK(times[i] == Approx(expected[i]).epsilon(1e-6));
  }
}

TEST_CASE("Every number of steps gives that many times, from 1 towards 0") {
  for (int64_t steps = 1; steps <= 100; ++steps) {
    for (const TimeSteps rule : {TimeSteps::kOpenpi, TimeSteps::kLerobot}) {
      const std::vector<float> times = DenoiseTimes(rule, steps);
      REQUIRE(times.size() == static_cast<size_t>(steps));
      CHECK(times.front() == 1.0F);
      // The last step ends at 0.
      CHECK(times.back() + DenoiseStepWidth(steps) == Approx(0.0F).margin(1e-5));
    }
  }
}

}  // namespace vlaserve
