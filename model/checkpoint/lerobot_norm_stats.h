// Statistics of LeRobot checkpoints (spec pi0.md §1.7, §3.6 and errata 5).
#pragma once

#include <optional>
#include <string>

#include "model/checkpoint/norm_stats.h"
#include "model/io/file_system.h"
#include "model/io/status.h"

namespace vlaserve {

struct LerobotNormStats {
  NormStats stats;
  std::string origin;  // the files they come from, for messages
};

// The statistics in the files that policy_preprocessor.json (state) and policy_postprocessor.json
// (actions) name as state_file; without those files, the buffers that LeRobot's first layout keeps
// among the weights. Unset if there is neither. Where the files exist and lack statistics, that is
// an error (kUnreadable), although LeRobot itself would silently not normalise.
Result<std::optional<LerobotNormStats>> ReadLerobotNormStats(FileSystem& files,
                                                             const std::string& directory);

}  // namespace vlaserve
