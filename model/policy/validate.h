// Checks of an observation and its options that need no model. Free of LibTorch headers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "model/checkpoint/geometry.h"
#include "model/io/status.h"
#include "model/policy/policy.h"
#include "model/settings/policy_settings.h"

namespace vlaserve {

inline constexpr size_t kMaxPromptBytes = size_t{64} << 10;

// What Policy::Validate promises. Pure function; any thread.
Status ValidateObservation(const PolicySettings& settings, const Geometry& geometry,
                           const Observation& observation, const InferOptions& options);

}  // namespace vlaserve
