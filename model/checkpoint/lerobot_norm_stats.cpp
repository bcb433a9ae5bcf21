#include "model/checkpoint/lerobot_norm_stats.h"

#include <utility>

#include "model/checkpoint/lerobot_processors.h"
#include "model/checkpoint/weight_files.h"
#include "model/io/safetensors.h"

namespace vlaserve {
namespace {

using Values = std::vector<double>;

// The vector stored as `name`; unset if there is none.
Result<std::optional<Values>> FindVector(const SafetensorsFile& file, const std::string& name) {
  const TensorView* tensor = file.Find(name);
  if (tensor == nullptr) return std::optional<Values>();
  if (tensor->shape.size() != 1) {
    return Status(StatusCode::kUnreadable, file.path() + ": tensor " + name +
                                               ": expected one dimension, found shape " +
                                               ShapeToString(tensor->shape));
  }
  return std::optional<Values>(tensor->ToDoubles());
}

// mean, std, q01 and q99 named `prefix` + "mean" …
Result<Statistics> ReadStatistics(const SafetensorsFile& file, const std::string& prefix) {
  Statistics statistics;
  for (const auto& [name, values] :
       {std::pair("mean", &statistics.mean), std::pair("std", &statistics.std)}) {
    VLASERVE_ASSIGN_OR_RETURN(std::optional<Values> found, FindVector(file, prefix + name));
    if (!found) {
      return Status(StatusCode::kUnreadable, file.path() + ": expected the statistics " + prefix +
                                                 "mean and " + prefix + "std, found no tensor " +
                                                 prefix + name +
                                                 "; without them the actions would be wrong");
    }
    *values = *std::move(found);
  }
  VLASERVE_ASSIGN_OR_RETURN(statistics.q01, FindVector(file, prefix + "q01"));
  VLASERVE_ASSIGN_OR_RETURN(statistics.q99, FindVector(file, prefix + "q99"));
  return statistics;
}

Result<SafetensorsFile> OpenStateFile(FileSystem& files, const std::string& directory,
                                      const LerobotProcessor& processor) {
  if (!processor.state_file) {
    return Status(StatusCode::kUnreadable,
                  processor.path +
                      ": no normalizer step names a state_file, so there are no statistics; give "
                      "them as a file (--norm-stats norm_stats.json)");
  }
  return SafetensorsFile::Open(files, JoinPath(directory, *processor.state_file));
}

}  // namespace

Result<std::optional<LerobotNormStats>> ReadLerobotNormStats(FileSystem& files,
                                                             const std::string& directory) {
  LerobotNormStats found;
  VLASERVE_ASSIGN_OR_RETURN(const auto preprocessor,
                            ReadLerobotProcessor(files, directory, kLerobotPreprocessor));
  VLASERVE_ASSIGN_OR_RETURN(const auto postprocessor,
                            ReadLerobotProcessor(files, directory, kLerobotPostprocessor));
  if (preprocessor && postprocessor) {
    VLASERVE_ASSIGN_OR_RETURN(const SafetensorsFile state,
                              OpenStateFile(files, directory, *preprocessor));
    VLASERVE_ASSIGN_OR_RETURN(found.stats.state, ReadStatistics(state, "observation.state."));
    VLASERVE_ASSIGN_OR_RETURN(const SafetensorsFile actions,
                              OpenStateFile(files, directory, *postprocessor));
    VLASERVE_ASSIGN_OR_RETURN(found.stats.actions, ReadStatistics(actions, "action."));
    found.origin = state.path() + " and " + actions.path();
    return std::optional<LerobotNormStats>(std::move(found));
  }
  VLASERVE_ASSIGN_OR_RETURN(const SafetensorsFile weights, OpenWeights(files, directory));
  const std::string state = "normalize_inputs.buffer_observation_state.";
  if (weights.Find(state + "mean") == nullptr) return std::optional<LerobotNormStats>();
  VLASERVE_ASSIGN_OR_RETURN(found.stats.state, ReadStatistics(weights, state));
  VLASERVE_ASSIGN_OR_RETURN(found.stats.actions,
                            ReadStatistics(weights, "unnormalize_outputs.buffer_action."));
  found.origin = weights.path();
  return std::optional<LerobotNormStats>(std::move(found));
}

}  // namespace vlaserve
