// LeRobot's processor files: policy_preprocessor.json and policy_postprocessor.json beside the
// weights, each a list of steps (spec pi0.md §3.6).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/io/file_system.h"
#include "model/io/status.h"
#include "model/settings/json_object.h"

namespace vlaserve {

// What the steps of one file say, as far as it matters for a policy.
struct LerobotProcessor {
  std::string path;
  std::vector<std::string> steps;  // registry names in order; a class path where there is none
  // Observation keys that are renamed before anything else, old to new.
  std::map<std::string, std::string> rename_map;
  // Of the step that normalises or un-normalises: "STATE" -> "MEAN_STD" …, its epsilon, and the
  // file with its statistics.
  std::map<std::string, std::string> norm_map;
  std::optional<double> eps;
  std::optional<std::string> state_file;
  // Actions are offsets to the state, except those whose name contains one of these.
  bool relative_actions = false;
  std::vector<std::string> exclude_joints;
  std::optional<std::vector<std::string>> action_names;
};

inline constexpr std::string_view kLerobotPreprocessor = "policy_preprocessor.json";
inline constexpr std::string_view kLerobotPostprocessor = "policy_postprocessor.json";

// Unset if the directory has no such file. Errors (kUnreadable) name file and key.
Result<std::optional<LerobotProcessor>> ReadLerobotProcessor(FileSystem& files,
                                                             const std::string& directory,
                                                             std::string_view name);

// A member that is an array of strings; unset if absent or null.
Result<std::optional<std::vector<std::string>>> OptionalStrings(JsonObject& object,
                                                                std::string_view key);
// A member that is an object of strings; empty if absent or null.
Result<std::map<std::string, std::string>> StringMap(JsonObject& object, std::string_view key);

}  // namespace vlaserve
