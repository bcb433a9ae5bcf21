#include "model/policy/model_inputs.h"

#include <utility>

#include "model/policy/golden_folder.h"
#include "model/policy/processing.h"
#include "model/policy/validate.h"
#include "model/transforms/noise.h"

namespace vlaserve {
namespace {

Result<Processing> ProcessingOf(const Archive& archive) {
  return Processing::Create(archive.settings(), archive.geometry(), archive.norm_stats(),
                            archive.tokenizer_model(), archive.path());
}

Result<ModelInput> Prepare(const NamedObservation& named, const Processing& processing) {
  const Geometry& geometry = processing.geometry();
  VLASERVE_RETURN_IF_ERROR(
      ValidateObservation(processing.settings(), geometry, named.observation, named.options));
  VLASERVE_ASSIGN_OR_RETURN(Processing::Prepared prepared, processing.Prepare(named.observation));
  prepared.input.noise =
      named.options.noise.empty()
          ? GaussianNoise(named.options.seed.value(), geometry.horizon * geometry.action_dim)
          : named.options.noise;
  prepared.input.num_steps = named.options.num_steps.value();
  return std::move(prepared.input);
}

}  // namespace

Result<std::vector<NamedInput>> PrepareInputs(const std::vector<NamedObservation>& observations,
                                              const Archive& archive) {
  VLASERVE_ASSIGN_OR_RETURN(const Processing processing, ProcessingOf(archive));
  std::vector<NamedInput> inputs;
  for (const NamedObservation& named : observations) {
    Result<ModelInput> input = Prepare(named, processing);
    if (!input.ok()) {
      const std::string field = input.status().field().empty() ? "" : input.status().field() + ": ";
      return Status(input.status().code(), named.name + ": " + field + input.status().message());
    }
    inputs.push_back({named.name, *std::move(input)});
  }
  return inputs;
}

Result<std::vector<NamedInput>> GoldenInputs(FileSystem& files, const std::string& folder,
                                             const Archive& archive) {
  VLASERVE_ASSIGN_OR_RETURN(
      GoldenFolder golden,
      ReadGoldenFolder(files, folder, "actions", archive.geometry(), archive.settings()));
  std::vector<NamedInput> inputs;
  for (GoldenModelCase& one : golden.model_cases) {
    inputs.push_back({one.name, std::move(one.input)});
  }
  std::vector<NamedObservation> observations;
  for (GoldenObservationCase& one : golden.observation_cases) {
    observations.push_back({one.name, std::move(one.observation), {}});
    observations.back().options.noise = std::move(one.noise);
    observations.back().options.num_steps = one.num_steps;
  }
  VLASERVE_ASSIGN_OR_RETURN(std::vector<NamedInput> prepared, PrepareInputs(observations, archive));
  for (NamedInput& input : prepared) inputs.push_back(std::move(input));
  return inputs;
}

}  // namespace vlaserve
