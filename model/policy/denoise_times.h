// When the velocity is evaluated (spec pi0.md §2.9).
#pragma once

#include <cstdint>
#include <vector>

#include "model/settings/policy_settings.h"

namespace vlaserve {

// The flow times of `num_steps` Euler steps from 1 (noise) towards 0 (action), float32:
//   kOpenpi   t = 1, then t += float32(-1/N), summed in float32 (openpi `sample_actions`);
//   kLerobot  1 + step * (-1/N) in double, rounded once (LeRobot `sample_actions`).
// Precondition: num_steps >= 1.
std::vector<float> DenoiseTimes(TimeSteps rule, int64_t num_steps);

// The step width of both rules: float32(-1/N).
float DenoiseStepWidth(int64_t num_steps);

}  // namespace vlaserve
