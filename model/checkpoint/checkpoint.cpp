#include "model/checkpoint/checkpoint.h"

#include <algorithm>
#include <utility>

#include "model/checkpoint/declared_sizes.h"
#include "model/checkpoint/derive_geometry.h"
#include "model/checkpoint/lerobot_settings.h"
#include "model/checkpoint/tensor_names.h"
#include "model/checkpoint/weight_files.h"

namespace vlaserve {
namespace {

constexpr size_t kMaxPolicyBytes = size_t{16} << 20;

struct NamedSettings {
  PolicySettings settings;
  std::string origin;  // where they come from, for messages
};

// The settings to use, before they are fitted to the model.
Result<std::optional<NamedSettings>> ChooseSettings(FileSystem& files, const std::string& directory,
                                                    const DeclaredSizes& declared,
                                                    const std::optional<PolicySettings>& policy) {
  using Choice = std::optional<NamedSettings>;
  if (policy) return Choice(NamedSettings{*policy, "policy " + policy->name});
  const std::string path = JoinPath(directory, "policy.json");
  if (files.IsFile(path)) {
    VLASERVE_ASSIGN_OR_RETURN(const std::string text, files.Read(path, kMaxPolicyBytes));
    VLASERVE_ASSIGN_OR_RETURN(PolicySettings settings, ParsePolicySettings(text, path));
    return Choice(NamedSettings{std::move(settings), path});
  }
  if (declared.lerobot) {
    VLASERVE_ASSIGN_OR_RETURN(PolicySettings settings, LerobotSettings(files, directory));
    return Choice(NamedSettings{std::move(settings), declared.config_path});
  }
  return Choice();
}

// Whatever states a type must state the one that the tensors show.
Status CheckType(const DetectedType& detected, const DeclaredSizes& declared,
                 const std::optional<NamedSettings>& chosen, const std::string& origin) {
  const auto check = [&](PolicyType type, const std::string& source, StatusCode code) -> Status {
    if (type == detected.type) return Status::Ok();
    return {code, source + " is for " + std::string(PolicyTypeName(type)) + ", but " + origin +
                      " holds a " + std::string(PolicyTypeName(detected.type)) +
                      ", as its tensor " + detected.evidence + " shows"};
  };
  if (declared.geometry) {
    VLASERVE_RETURN_IF_ERROR(
        check(declared.geometry->type, declared.geometry_path, StatusCode::kUnreadable));
  }
  if (declared.type) {
    VLASERVE_RETURN_IF_ERROR(check(*declared.type, declared.config_path, StatusCode::kUnreadable));
  }
  if (chosen) {
    VLASERVE_RETURN_IF_ERROR(
        check(chosen->settings.type, chosen->origin, StatusCode::kInvalidArgument));
  }
  return Status::Ok();
}

bool IsLerobotLayout(const DeclaredSizes& declared, const NamedTensors& tensors) {
  return declared.lerobot || std::any_of(tensors.begin(), tensors.end(), [](const auto& entry) {
           return entry.first != entry.second.stored_name;
         });
}

}  // namespace

Result<Checkpoint> OpenCheckpoint(FileSystem& files, const std::string& directory,
                                  const std::optional<PolicySettings>& policy) {
  Checkpoint checkpoint;
  checkpoint.directory = directory;
  VLASERVE_ASSIGN_OR_RETURN(checkpoint.file, OpenWeights(files, directory));
  const std::string& origin = checkpoint.file.path();
  VLASERVE_ASSIGN_OR_RETURN(const DeclaredSizes declared, ReadDeclaredSizes(files, directory));
  VLASERVE_ASSIGN_OR_RETURN(NamedTensors stored, CanonicalTensors(checkpoint.file));
  VLASERVE_ASSIGN_OR_RETURN(const DetectedType detected, DetectType(stored, origin));
  VLASERVE_ASSIGN_OR_RETURN(const std::optional<NamedSettings> chosen,
                            ChooseSettings(files, directory, declared, policy));
  VLASERVE_RETURN_IF_ERROR(CheckType(detected, declared, chosen, origin));
  checkpoint.layout =
      IsLerobotLayout(declared, stored) ? CheckpointLayout::kLerobot : CheckpointLayout::kOpenpi;
  const NamedTensors tensors = ModelTensors(std::move(stored), detected.type);
  VLASERVE_ASSIGN_OR_RETURN(checkpoint.geometry,
                            DeriveGeometry(tensors, detected.type, declared,
                                           chosen ? &chosen->settings : nullptr, origin));
  VLASERVE_RETURN_IF_ERROR(CheckTensors(tensors, checkpoint.geometry, origin));
  for (const auto& [name, tensor] : tensors) checkpoint.tensors.emplace(name, tensor.view);
  if (chosen) {
    VLASERVE_ASSIGN_OR_RETURN(
        checkpoint.settings,
        FitSettingsToModel(chosen->settings, checkpoint.geometry, chosen->origin));
  }
  return checkpoint;
}

}  // namespace vlaserve
