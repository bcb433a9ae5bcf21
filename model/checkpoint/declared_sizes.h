// What the JSON files beside the weights say about a model's sizes: geometry.json and config.json,
// which may be openpi's (five keys) or LeRobot's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "model/checkpoint/geometry.h"
#include "model/io/file_system.h"
#include "model/io/status.h"

namespace vlaserve {

struct DeclaredSizes {
  // geometry.json.
  std::optional<Geometry> geometry;
  std::string geometry_path;
  // config.json.
  std::string config_path;  // "" if there is none
  bool lerobot = false;     // config.json is LeRobot's
  std::optional<PolicyType> type;
  std::optional<int64_t> horizon;
  std::optional<int64_t> prompt_slots;
  std::optional<int64_t> action_dim;
  std::optional<int64_t> image_size;
  std::optional<double> min_period;
  std::optional<double> max_period;
};

// Reads both files of a checkpoint directory; either may be absent. Errors: kUnreadable for damaged
// files and for files that contradict each other, kUnsupported for other policies (π0-FAST, ACT …).
Result<DeclaredSizes> ReadDeclaredSizes(FileSystem& files, const std::string& directory);

}  // namespace vlaserve
