// Folders of golden data as `vlaserve check` reads them (the kinds: model/policy/check.h).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "model/checkpoint/geometry.h"
#include "model/io/file_system.h"
#include "model/io/safetensors.h"
#include "model/io/status.h"
#include "model/policy/pi0_model.h"
#include "model/policy/policy.h"
#include "model/settings/policy_settings.h"

namespace vlaserve {

// A tensor to compare with.
struct ReferenceTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<double> values;
};

// Inputs and final actions in model space.
struct GoldenModelCase {
  std::string name;  // "case0", "model_case0", "0"
  ModelInput input;
  ReferenceTensor actions;
  // Recorded intermediates by the names of Pi0Model::Trace; empty where the folder has none.
  std::map<std::string, ReferenceTensor> intermediates;
};

// A whole observation and the results that the folder holds for it.
struct GoldenObservationCase {
  std::string name;
  Observation observation;
  std::vector<float> noise;
  int64_t num_steps = 10;
  std::vector<ReferenceTensor> model_actions;  // in model space; at most one
  std::vector<ReferenceTensor> actions;        // as the client gets them; at most one
};

struct GoldenFolder {
  std::vector<GoldenModelCase> model_cases;
  std::vector<GoldenObservationCase> observation_cases;
};

// Reads every case of a folder. `reference` names the tensor to compare with, without the case's
// prefix; for LeRobot's own inputs "actions" means `model_actions`, for whole observations it means
// both `model_actions` and `actions`. Errors: kNotFound for a folder without case files, otherwise
// kUnreadable or kInvalidArgument naming file and JSON key or tensor; an unknown reference lists
// what the case has.
Result<GoldenFolder> ReadGoldenFolder(FileSystem& files, const std::string& folder,
                                      const std::string& reference, const Geometry& geometry,
                                      const PolicySettings& settings);

}  // namespace vlaserve
