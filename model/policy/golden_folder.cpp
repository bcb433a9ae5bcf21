#include "model/policy/golden_folder.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "model/policy/golden_files.h"

namespace vlaserve {
namespace {

using nlohmann::json;

// Row `row` of a tensor as one of its own.
ReferenceTensor Row(const ReferenceTensor& tensor, size_t row, const std::string& name) {
  const size_t size = tensor.values.size() / static_cast<size_t>(tensor.shape.at(0));
  const auto begin = tensor.values.begin() + static_cast<std::ptrdiff_t>(row * size);
  return {name,
          {tensor.shape.begin() + 1, tensor.shape.end()},
          {begin, begin + static_cast<std::ptrdiff_t>(size)}};
}

// The recorded intermediates under `prefix`, renamed to what Pi0Model::Trace calls them.
std::map<std::string, ReferenceTensor> ReadIntermediates(const SafetensorsFile& file,
                                                         const std::string& prefix,
                                                         const std::vector<std::string>& cameras) {
  std::map<std::string, ReferenceTensor> result;
  for (const auto& [full_name, view] : file.tensors()) {
    if (!full_name.starts_with(prefix)) continue;
    std::string name = full_name.substr(prefix.size());
    if (name == "tokens" || name == "token_mask" || name == "state" || name == "noise" ||
        name.starts_with("actions")) {
      continue;
    }
    for (size_t slot = 0; slot < cameras.size(); ++slot) {
      for (const std::string_view part : {"vision.", "image_emb."}) {
        const std::string named = std::string(part) + cameras[slot];
        if (name != named && !name.starts_with(named + ".")) continue;
        name = std::string(part) + std::to_string(slot) + name.substr(named.size());
        break;
      }
    }
    ReferenceTensor tensor = ToReference(full_name, view);
    if ((name == "v_t" || name == "x_t") && !tensor.shape.empty()) {
      for (size_t row = 0; row < static_cast<size_t>(tensor.shape[0]); ++row) {
        const std::string suffix = std::string(".").append(std::to_string(row));
        result.emplace(name + suffix, Row(tensor, row, full_name + suffix));
      }
    } else {
      result.emplace(std::move(name), std::move(tensor));
    }
  }
  return result;
}

Status ReadModelCases(const CaseFiles& files, const std::string& reference,
                      const Geometry& geometry, GoldenFolder& folder) {
  VLASERVE_ASSIGN_OR_RETURN(const std::vector<std::string> cameras, files.CameraOrder());
  for (size_t i = 0; i < files.cases().size(); ++i) {
    VLASERVE_ASSIGN_OR_RETURN(const std::string prefix, files.CasePrefix(i));
    GoldenModelCase model_case;
    model_case.name = prefix.substr(0, prefix.size() - 1);
    VLASERVE_ASSIGN_OR_RETURN(model_case.input,
                              ReadModelInput(files, i, prefix, cameras, geometry));
    VLASERVE_ASSIGN_OR_RETURN(model_case.actions, files.Reference(prefix, reference));
    model_case.intermediates = ReadIntermediates(files.tensors(), prefix, cameras);
    folder.model_cases.push_back(std::move(model_case));
  }
  return Status::Ok();
}

Status ReadObservationCases(const CaseFiles& files, const std::string& reference,
                            const PolicySettings& settings, GoldenFolder& folder) {
  for (size_t i = 0; i < files.cases().size(); ++i) {
    const json& description = files.cases()[i];
    VLASERVE_ASSIGN_OR_RETURN(const std::string prefix, files.CasePrefix(i));
    GoldenObservationCase golden;
    golden.name = prefix.substr(0, prefix.size() - 1);
    for (const Camera& camera : settings.cameras) {
      if (!camera.name) continue;
      const std::string key =
          prefix + camera.observation_key.value_or("observation/" + *camera.name);
      const TensorView* view = files.tensors().Find(key);
      if (view == nullptr && camera.optional) continue;
      VLASERVE_ASSIGN_OR_RETURN(const TensorView picture, files.Tensor(key));
      VLASERVE_ASSIGN_OR_RETURN(golden.observation.images[*camera.name],
                                ToPicture(picture, files.tensor_path() + ": " + key));
    }
    VLASERVE_ASSIGN_OR_RETURN(const TensorView state, files.Tensor(prefix + "observation/state"));
    golden.observation.state = state.ToDoubles();
    VLASERVE_ASSIGN_OR_RETURN(golden.observation.prompt,
                              Member<std::string>(description, "prompt", files.CasePlace(i)));
    VLASERVE_ASSIGN_OR_RETURN(const TensorView noise, files.Tensor(prefix + "noise"));
    golden.noise = noise.ToFloats();
    VLASERVE_ASSIGN_OR_RETURN(golden.num_steps,
                              Member<int64_t>(description, "num_steps", files.CasePlace(i)));
    VLASERVE_ASSIGN_OR_RETURN(ReferenceTensor named, files.Reference(prefix, reference));
    if (reference == "actions") {
      VLASERVE_ASSIGN_OR_RETURN(ReferenceTensor model, files.Reference(prefix, "model_actions"));
      golden.model_actions.push_back(std::move(model));
      golden.actions.push_back(std::move(named));
    } else if (reference == "model_actions") {
      golden.model_actions.push_back(std::move(named));
    } else {
      golden.actions.push_back(std::move(named));
    }
    folder.observation_cases.push_back(std::move(golden));
  }
  return Status::Ok();
}

bool HoldsObservations(const CaseFiles& files) {
  return std::any_of(files.tensors().tensors().begin(), files.tensors().tensors().end(),
                     [](const auto& entry) { return entry.first.ends_with(".observation/state"); });
}

}  // namespace

Result<GoldenFolder> ReadGoldenFolder(FileSystem& files, const std::string& folder,
                                      const std::string& reference, const Geometry& geometry,
                                      const PolicySettings& settings) {
  GoldenFolder result;
  CaseFiles case_files(files, folder);
  if (files.IsFile(JoinPath(folder, "cases.json"))) {
    VLASERVE_RETURN_IF_ERROR(case_files.Open("cases"));
    VLASERVE_RETURN_IF_ERROR(HoldsObservations(case_files)
                                 ? ReadObservationCases(case_files, reference, settings, result)
                                 : ReadModelCases(case_files, reference, geometry, result));
    return result;
  }
  if (files.IsFile(JoinPath(folder, "lerobot_cases.json"))) {
    VLASERVE_RETURN_IF_ERROR(case_files.Open("lerobot_cases"));
    VLASERVE_RETURN_IF_ERROR(
        ReadLerobotCases(files, folder, case_files, reference, geometry, result));
    return result;
  }
  return Status(StatusCode::kNotFound,
                folder + ": neither cases.json nor lerobot_cases.json is in this folder");
}

}  // namespace vlaserve
