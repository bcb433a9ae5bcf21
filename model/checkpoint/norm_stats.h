// Normalisation statistics of state and actions (spec pi0.md §3.3, §3.6).
#pragma once

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
};

struct NormStats {
  Statistics state;
  Statistics actions;
};

// openpi's norm_stats.json: {"norm_stats": {"state": {"mean", "std", "q01", "q99"}, "actions": …}}.
Result<NormStats> ParseNormStats(std::string_view json_text, std::string_view origin);
std::string NormStatsToJson(const NormStats& stats);

// Finds and reads the statistics of a checkpoint directory: `explicit_path` if not empty, else
// assets/<asset_id>/norm_stats.json, assets/norm_stats.json or norm_stats.json, else LeRobot's
// processor files. Missing statistics are an error that lists where was looked and says where to
// get them; never an identity. Statistics that do not fit `settings` (lengths, no quantiles for
// quantile normalisation) are errors.
Result<NormStats> LoadNormStats(FileSystem& files, const std::string& checkpoint_directory,
                                const std::string& explicit_path, const PolicySettings& settings);

// The checks of LoadNormStats on statistics from elsewhere (an archive).
Status CheckNormStats(const NormStats& stats, const PolicySettings& settings, int64_t action_dim,
                      std::string_view origin);

}  // namespace vlaserve
