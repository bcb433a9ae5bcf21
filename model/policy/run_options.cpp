#include "model/policy/run_options.h"

#include <string>

namespace vlaserve {

Result<RunOptions> ResolveOptions(const PolicyOptions& options, const PolicySettings& settings) {
  RunOptions resolved;
  resolved.compute_dtype = options.compute_dtype;
  resolved.rope_inv_freq =
      options.rope_inv_freq.value_or(settings.rope_inv_freq.value_or(RopeInvFreq::kExact));
  resolved.time_steps = options.time_steps.value_or(settings.time_steps);
  resolved.num_steps = options.num_steps.value_or(settings.num_steps);
  resolved.savings = options.savings;
  resolved.on_denoise_step = options.on_denoise_step;
  if (resolved.num_steps < 1 || resolved.num_steps > kMaxDenoiseSteps) {
    return Status(StatusCode::kInvalidArgument, "runtime.num_steps",
                  "the number of denoise steps must be 1 to " + std::to_string(kMaxDenoiseSteps) +
                      ", found " + std::to_string(resolved.num_steps));
  }
  return resolved;
}

}  // namespace vlaserve
