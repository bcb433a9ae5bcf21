#include "model/policy/denoise_times.h"

namespace vlaserve {

float DenoiseStepWidth(int64_t num_steps) {
  return static_cast<float>(-1.0 / static_cast<double>(num_steps));
}

std::vector<float> DenoiseTimes(TimeSteps rule, int64_t num_steps) {
  std::vector<float> times;
  times.reserve(static_cast<size_t>(num_steps));
  float accumulated = 1.0F;
  for (int64_t step = 0; step < num_steps; ++step) {
    if (rule == TimeSteps::kOpenpi) {
      times.push_back(accumulated);
      accumulated += DenoiseStepWidth(num_steps);
    } else {
      const double width = -1.0 / static_cast<double>(num_steps);
      times.push_back(static_cast<float>(1.0 + static_cast<double>(step) * width));
    }
  }
  return times;
}

}  // namespace vlaserve
