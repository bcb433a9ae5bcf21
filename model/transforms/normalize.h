// Normalisation of states and un-normalisation of actions (spec pi0.md §3.3, §3.6).
//
//                     normalise                                un-normalise
//   openpi  z-score   (x - mean) / (std + 1e-6)                x * (std + 1e-6) + mean
//           quantile  (x - q01) / (q99 - q01 + 1e-6) * 2 - 1   (x + 1) / 2 * (q99 - q01 + 1e-6) +
//           q01
//   LeRobot z-score   (x - mean) / (std + 1e-8)                x * std + mean
//           quantile  2 * (x - q01) / d - 1                    (x + 1) * d / 2 + q01
//                     with d = q99 - q01, or 1e-8 where that is 0
//
// openpi computes in float64, LeRobot in float32 (data and statistics are rounded to float32
// first); every operation is rounded on its own, in the order written. Nothing is clipped. NaN and
// infinities pass through.
//
// Sources: openpi `transforms.Normalize` / `Unnormalize`, LeRobot `normalize_processor.py`.
// Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/checkpoint/norm_stats.h"
#include "model/io/status.h"
#include "model/settings/policy_settings.h"

namespace vlaserve {

// One row of data. Statistics may be wider than the data (the first x.size() dimensions count).
// kInvalidArgument if they are narrower; kFailedPrecondition if quantiles are asked for and absent.
Result<std::vector<double>> Normalize(std::span<const double> x, const Statistics& statistics,
                                      Normalization normalization, Convention convention);

// Rows of `width` values (x.size() is a multiple of it). Statistics may be narrower than the rows;
// the remaining columns are then those of the reference: openpi's z-score pads mean with 0 and std
// with 1, so they are multiplied by 1 + 1e-6; in all other cases they pass through. On float data
// such as a model's output, openpi's quantile mode computes (x + 1) / 2 in float32, as numpy does.
// kInvalidArgument if the statistics are wider than the rows; kFailedPrecondition as above.
Result<std::vector<double>> Unnormalize(std::span<const float> x, int64_t width,
                                        const Statistics& statistics, Normalization normalization,
                                        Convention convention);
Result<std::vector<double>> Unnormalize(std::span<const double> x, int64_t width,
                                        const Statistics& statistics, Normalization normalization,
                                        Convention convention);

// `x` with zeros appended up to `width` values; unchanged if it is as wide or wider (openpi
// `transforms.pad_to_dim`).
std::vector<double> PadWithZeros(std::span<const double> x, int64_t width);

}  // namespace vlaserve
