// What several commands run a policy on: --golden, --observations, --request and --num-steps.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <CLI/App.hpp>

#include "model/archive/archive.h"
#include "model/io/file_system.h"
#include "model/io/status.h"
#include "model/policy/model_inputs.h"
#include "model/policy/policy.h"

namespace vlaserve {

struct ObservationArguments {
  std::string golden;                 // a golden folder (model/policy/check.h)
  std::string observations;           // a folder (server/cli/observation_folder.h)
  std::vector<std::string> requests;  // files with an InferRequest in protobuf's JSON form
  std::optional<int64_t> num_steps;   // of every observation; unset: as its case or request says

  // Declares all of them; this is the help text of --golden.
  void AddTo(CLI::App& command, const std::string& golden_help);

  bool empty() const { return golden.empty() && observations.empty() && requests.empty(); }

  // The cases of the golden folder, then the folder's observations, then the requests. Where
  // neither seed nor noise is given, the number of the place is the seed, so that every run sees
  // the same noise; `policy` has the default number of steps. Errors: kInvalidArgument without any
  // observation, and for what cannot be read or does not fit the policy (naming file and field);
  // those of GoldenInputs.
  Result<std::vector<NamedInput>> Read(FileSystem& files, const Archive& archive,
                                       const PolicyOptions& policy) const;
};

}  // namespace vlaserve
