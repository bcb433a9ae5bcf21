// PolicyOptions with every open question answered by the policy settings.
#pragma once

#include <cstdint>

#include "model/io/status.h"
#include "model/policy/policy.h"

namespace vlaserve {

inline constexpr int64_t kMaxDenoiseSteps = 100;

struct RunOptions {
  ComputeDtype compute_dtype = ComputeDtype::kFloat32;
  RopeInvFreq rope_inv_freq = RopeInvFreq::kExact;
  TimeSteps time_steps = TimeSteps::kOpenpi;
  int64_t num_steps = 10;  // of requests that do not say
  ExactSavings savings;
  DenoiseStepListener on_denoise_step = {};
};

// kInvalidArgument (field "runtime.num_steps") for a number of steps outside 1..kMaxDenoiseSteps.
Result<RunOptions> ResolveOptions(const PolicyOptions& options, const PolicySettings& settings);

}  // namespace vlaserve
