// A policy whose inferences are timed, for openpi_duquant's [POLICY][PROFILE] table.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/policy/policy.h"
#include "quant/engine/observer.h"

namespace vlaserve {

// What was timed. Written by the policy's thread; to be read when the policy is gone.
struct PolicyProfile {
  ProfileRow infer;
};

// Passes everything on; adds a successful Infer's time and actions to `profile`.
std::unique_ptr<Policy> MakeProfiledPolicy(std::unique_ptr<Policy> policy, SecondsClock clock,
                                           std::shared_ptr<PolicyProfile> profile);

}  // namespace vlaserve
