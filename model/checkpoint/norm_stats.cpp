#include "model/checkpoint/norm_stats.h"

#include <cmath>
#include <limits>
#include <utility>

#include <nlohmann/json.hpp>

#include "model/checkpoint/lerobot_norm_stats.h"
#include "model/io/json.h"
#include "model/settings/json_object.h"

namespace vlaserve {
namespace {

using nlohmann::json;
using Values = std::vector<double>;

constexpr size_t kMaxBytes = size_t{16} << 20;

Result<std::optional<Values>> OptionalValues(JsonObject& object, std::string_view key) {
  VLASERVE_ASSIGN_OR_RETURN(const json* array, object.OptionalArray(key));
  if (array == nullptr) return std::optional<Values>();
  Values values;
  for (size_t i = 0; i < array->size(); ++i) {
    if (!(*array)[i].is_number()) {
      return object.Error(key, "expected a number at index " + std::to_string(i) + ", found " +
                                   JsonExcerpt((*array)[i]));
    }
    values.push_back((*array)[i].get<double>());
  }
  return std::optional<Values>(std::move(values));
}

Result<Statistics> ParseStatistics(JsonObject& object) {
  Statistics statistics;
  for (const auto& [key, values] :
       {std::pair("mean", &statistics.mean), std::pair("std", &statistics.std)}) {
    VLASERVE_ASSIGN_OR_RETURN(std::optional<Values> found, OptionalValues(object, key));
    if (!found) return object.Error(key, "expected an array of numbers, found no such key");
    *values = *std::move(found);
  }
  VLASERVE_ASSIGN_OR_RETURN(statistics.q01, OptionalValues(object, "q01"));
  VLASERVE_ASSIGN_OR_RETURN(statistics.q99, OptionalValues(object, "q99"));
  return statistics;
}

nlohmann::ordered_json StatisticsToJson(const Statistics& statistics) {
  nlohmann::ordered_json object{{"mean", statistics.mean}, {"std", statistics.std}};
  object["q01"] = nullptr;
  object["q99"] = nullptr;
  if (statistics.q01) object["q01"] = *statistics.q01;
  if (statistics.q99) object["q99"] = *statistics.q99;
  return object;
}

Status Unfit(const std::string& what, const std::string& problem) {
  return {StatusCode::kFailedPrecondition, what + ": " + problem};
}

Status CheckValues(const Values& values, size_t length, const std::string& what) {
  if (values.size() != length) {
    return Unfit(what, "expected " + std::to_string(length) + " values like mean, found " +
                           std::to_string(values.size()));
  }
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      return Unfit(
          what, "value " + std::to_string(i) + " is " + std::to_string(values[i]) +
                    ", expected a finite number; these statistics were never computed from data");
    }
  }
  return Status::Ok();
}

Status CheckStatistics(const Statistics& statistics, Normalization normalization,
                       const std::string& what) {
  const size_t length = statistics.mean.size();
  VLASERVE_RETURN_IF_ERROR(CheckValues(statistics.mean, length, what + ".mean"));
  VLASERVE_RETURN_IF_ERROR(CheckValues(statistics.std, length, what + ".std"));
  for (size_t i = 0; i < length; ++i) {
    if (statistics.std[i] >= 0) continue;
    return Unfit(what + ".std", "value " + std::to_string(i) + " is " +
                                    std::to_string(statistics.std[i]) + ", expected at least 0");
  }
  if (statistics.q01) {
    VLASERVE_RETURN_IF_ERROR(CheckValues(*statistics.q01, length, what + ".q01"));
  }
  if (statistics.q99) {
    VLASERVE_RETURN_IF_ERROR(CheckValues(*statistics.q99, length, what + ".q99"));
  }
  if (normalization == Normalization::kQuantile && (!statistics.q01 || !statistics.q99)) {
    return Unfit(what, "the policy normalises by quantiles, but there is no q01 or q99");
  }
  if (!statistics.q01 || !statistics.q99) return Status::Ok();
  for (size_t i = 0; i < length; ++i) {
    if ((*statistics.q01)[i] <= (*statistics.q99)[i]) continue;
    return Unfit(what + ".q01", "value " + std::to_string(i) + " is " +
                                    std::to_string((*statistics.q01)[i]) + ", above q99's " +
                                    std::to_string((*statistics.q99)[i]));
  }
  return Status::Ok();
}

Result<NormStats> ReadNormStats(FileSystem& files, const std::string& path) {
  VLASERVE_ASSIGN_OR_RETURN(const std::string text, files.Read(path, kMaxBytes));
  return ParseNormStats(text, path);
}

}  // namespace

Result<NormStats> ParseNormStats(std::string_view json_text, std::string_view origin) {
  VLASERVE_ASSIGN_OR_RETURN(const json parsed, ParseJson(json_text, origin));
  VLASERVE_ASSIGN_OR_RETURN(JsonObject root,
                            JsonObject::Root(parsed, origin, StatusCode::kUnreadable));
  VLASERVE_ASSIGN_OR_RETURN(JsonObject norm_stats, root.Object("norm_stats"));
  NormStats stats;
  VLASERVE_ASSIGN_OR_RETURN(JsonObject state, norm_stats.Object("state"));
  VLASERVE_ASSIGN_OR_RETURN(stats.state, ParseStatistics(state));
  VLASERVE_ASSIGN_OR_RETURN(JsonObject actions, norm_stats.Object("actions"));
  VLASERVE_ASSIGN_OR_RETURN(stats.actions, ParseStatistics(actions));
  return stats;
}

std::string NormStatsToJson(const NormStats& stats) {
  nlohmann::ordered_json root;
  root["norm_stats"]["state"] = StatisticsToJson(stats.state);
  root["norm_stats"]["actions"] = StatisticsToJson(stats.actions);
  return root.dump(2) + "\n";
}

Status CheckNormStats(const NormStats& stats, const PolicySettings& settings, int64_t action_dim,
                      std::string_view origin) {
  const std::string state = std::string(origin) + ": norm_stats.state";
  const std::string actions = std::string(origin) + ": norm_stats.actions";
  VLASERVE_RETURN_IF_ERROR(CheckStatistics(stats.state, settings.normalization, state));
  VLASERVE_RETURN_IF_ERROR(CheckStatistics(stats.actions, settings.normalization, actions));
  const auto state_length = static_cast<int64_t>(stats.state.mean.size());
  if (state_length < settings.state_dim) {
    return Unfit(state, "expected at least " + std::to_string(settings.state_dim) +
                            " dimensions (state_dim of policy " + settings.name + "), found " +
                            std::to_string(state_length));
  }
  const auto action_length = static_cast<int64_t>(stats.actions.mean.size());
  if (action_length < settings.output_action_dim) {
    return Unfit(actions, "expected at least " + std::to_string(settings.output_action_dim) +
                              " dimensions (output_action_dim of policy " + settings.name +
                              "), found " + std::to_string(action_length));
  }
  if (action_length > action_dim) {
    return Unfit(actions, "expected at most " + std::to_string(action_dim) +
                              " dimensions (action_dim of the model), found " +
                              std::to_string(action_length));
  }
  return Status::Ok();
}

Result<NormStats> LoadNormStats(FileSystem& files, const std::string& checkpoint_directory,
                                const std::string& explicit_path, const PolicySettings& settings) {
  // Without a known model the actions' length has no upper bound.
  const int64_t action_dim = settings.action_dim.value_or(std::numeric_limits<int64_t>::max());
  std::vector<std::string> paths;
  if (!explicit_path.empty()) {
    paths.push_back(explicit_path);
  } else {
    const std::string assets = JoinPath(checkpoint_directory, "assets");
    if (!settings.asset_id.empty()) {
      paths.push_back(JoinPath(JoinPath(assets, settings.asset_id), "norm_stats.json"));
    }
    paths.push_back(JoinPath(assets, "norm_stats.json"));
    paths.push_back(JoinPath(checkpoint_directory, "norm_stats.json"));
  }
  for (const std::string& path : paths) {
    if (explicit_path.empty() && !files.IsFile(path)) continue;
    VLASERVE_ASSIGN_OR_RETURN(NormStats stats, ReadNormStats(files, path));
    VLASERVE_RETURN_IF_ERROR(CheckNormStats(stats, settings, action_dim, path));
    return stats;
  }
  VLASERVE_ASSIGN_OR_RETURN(const auto lerobot, ReadLerobotNormStats(files, checkpoint_directory));
  if (lerobot) {
    VLASERVE_RETURN_IF_ERROR(CheckNormStats(lerobot->stats, settings, action_dim, lerobot->origin));
    return lerobot->stats;
  }
  std::string looked;
  for (const std::string& path : paths) looked += "\n  " + path;
  return Status(
      StatusCode::kNotFound,
      checkpoint_directory +
          ": no normalisation statistics; without them the actions would be wrong. "
          "Looked for:" +
          looked +
          "\n  LeRobot's policy_preprocessor.json and policy_postprocessor.json "
          "with their statistics files\n"
          "openpi's converter often leaves them behind: copy the assets folder of the "
          "original checkpoint, or give the file (--norm-stats norm_stats.json); openpi's "
          "scripts/compute_norm_stats.py computes it from the training data");
}

}  // namespace vlaserve
