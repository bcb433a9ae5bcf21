// Normalisation statistics of state and actions (spec pi0.md §3.3, §3.6).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/io/file_system.h"
#include "model/io/status.h"
#include "model/settings/policy_settings.h"

namespace vlaserve {

// Per-dimension statistics in the units of the data. All present vectors have the same length.
struct Statistics {
  std::vector<double> mean;
  std::vector<double> std;
  std::optional<std::vector<double>> q01;
  std::optional<std::vector<double>> q99;

  bool operator==(const Statistics&) const = default;
};

struct NormStats {
  Statistics state;
  Statistics actions;

  bool operator==(const NormStats&) const = default;
};

// openpi's norm_stats.json: {"norm_stats": {"state": {"mean", "std", "q01", "q99"}, "actions": …}}.
// q01 and q99 may be null or absent; other keys are ignored. Errors (kUnreadable) name file and
// key.
Result<NormStats> ParseNormStats(std::string_view json_text, std::string_view origin);
std::string NormStatsToJson(const NormStats& stats);

// Finds, reads and checks the statistics of a checkpoint directory: `explicit_path` if not empty,
// else assets/<asset_id>/norm_stats.json, assets/norm_stats.json or norm_stats.json, else those
// that LeRobot's processor files name, else those inside the weights of LeRobot's first layout.
// Missing statistics are an error that lists where was looked and says where to get them; never an
// identity.
Result<NormStats> LoadNormStats(FileSystem& files, const std::string& checkpoint_directory,
                                const std::string& explicit_path, const PolicySettings& settings);

// Whether statistics fit settings: all numbers finite, deviations not negative, q01 not above q99,
// state statistics at least settings.state_dim long, action statistics at least output_action_dim
// and at most `action_dim` (the model's) long, quantiles present for quantile normalisation. Errors
// (kFailedPrecondition) start with `origin`.
Status CheckNormStats(const NormStats& stats, const PolicySettings& settings, int64_t action_dim,
                      std::string_view origin);

}  // namespace vlaserve
