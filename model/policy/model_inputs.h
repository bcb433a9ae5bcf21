// Model inputs to run more than once: the same observations and noise through several policies.
// Free of LibTorch headers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/archive/archive.h"
#include "model/io/file_system.h"
#include "model/io/status.h"
#include "model/policy/pi0_model.h"
#include "model/policy/policy.h"

namespace vlaserve {

struct NamedInput {
  std::string name;  // "case0", or where the observation came from
  ModelInput input;
};

// An observation with what InferRequest says besides.
struct NamedObservation {
  std::string name;
  Observation observation;
  InferOptions options;  // noise or a seed, and num_steps, are set
};

// The inputs of every case of a golden folder, of whatever kind (model/policy/check.h). Errors:
// those of ReadGoldenFolder.
Result<std::vector<NamedInput>> GoldenInputs(FileSystem& files, const std::string& folder,
                                             const Archive& archive);

// Observations as Policy::Infer prepares them: validated, resized, normalised, tokenised, noise
// drawn. Errors: those of Policy::Infer before the model runs, with the observation's name.
Result<std::vector<NamedInput>> PrepareInputs(const std::vector<NamedObservation>& observations,
                                              const Archive& archive);

}  // namespace vlaserve
