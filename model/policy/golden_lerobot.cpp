// LeRobot's cases: lerobot_cases.json.

#include <memory>
#include <string_view>
#include <utility>

#include "model/policy/golden_files.h"
#include "model/transforms/image_resize.h"

namespace vlaserve {
namespace {

using nlohmann::json;

// [file, tensor] entries of a LeRobot case by key: "image", "image2", …
std::map<std::string, std::pair<std::string, std::string>> PictureEntries(const json& description) {
  std::map<std::string, std::pair<std::string, std::string>> entries;
  for (const auto& [key, value] : description.items()) {
    if (value.is_array() && value.size() == 2 && value[0].is_string() && value[1].is_string()) {
      entries[key] = {value[0].get<std::string>(), value[1].get<std::string>()};
    }
  }
  return entries;
}

// Float32 [side, side, 3] in [-1, 1], rows of pixels, to channels first.
Result<std::vector<float>> ChannelsFirst(const TensorView& view, int64_t side,
                                         const std::string& where) {
  if (view.shape != std::vector<int64_t>{side, side, 3}) {
    return BadGolden(where, "expected [" + std::to_string(side) + ", " + std::to_string(side) +
                                ", 3], found " + ShapeToString(view.shape));
  }
  const std::vector<float> rows = view.ToFloats();
  const size_t plane = rows.size() / 3;
  std::vector<float> planes(rows.size());
  for (size_t pixel = 0; pixel < plane; ++pixel) {
    for (size_t channel = 0; channel < 3; ++channel) {
      planes[channel * plane + pixel] = rows[pixel * 3 + channel];
    }
  }
  return planes;
}

Result<ModelInput> ReadLerobotInput(CaseFiles& files, size_t i, const std::string& prefix,
                                    const Geometry& geometry) {
  const json& description = files.cases()[i];
  const std::string where = files.CasePlace(i);
  const int64_t side = geometry.image_size;
  ModelInput input;
  VLASERVE_RETURN_IF_ERROR(ReadTokensAndNoise(files, prefix, input));
  VLASERVE_ASSIGN_OR_RETURN(input.num_steps, Member<int64_t>(description, "num_steps", where));
  VLASERVE_ASSIGN_OR_RETURN(const json masks, Member<json>(description, "image_masks", where));

  const auto entries = PictureEntries(description);
  auto entry = entries.begin();
  for (const json& mask : masks) {
    CameraInput slot;
    slot.valid = mask == json(true);
    if (slot.valid) {
      if (entry == entries.end()) return BadGolden(where, "fewer pictures than valid image_masks");
      const std::string model_image = prefix + "model_image";
      const TensorView* given =
          entry == entries.begin() ? files.tensors().Find(model_image) : nullptr;
      if (given != nullptr) {
        VLASERVE_ASSIGN_OR_RETURN(
            slot.pixels, ChannelsFirst(*given, side, files.tensor_path() + ": " + model_image));
      } else {
        const auto& [path, name] = entry->second;
        VLASERVE_ASSIGN_OR_RETURN(const SafetensorsFile* file, files.Relative(path));
        VLASERVE_ASSIGN_OR_RETURN(const TensorView view, CaseFiles::Tensor(*file, name));
        VLASERVE_ASSIGN_OR_RETURN(const RgbImage image,
                                  ToPicture(view, file->path() + ": " + name));
        VLASERVE_ASSIGN_OR_RETURN(slot.pixels, TorchResizeWithPad(image, side));
      }
      ++entry;
    }
    input.cameras.push_back(std::move(slot));
  }

  VLASERVE_ASSIGN_OR_RETURN(const TensorView state, files.Tensor(prefix + "normalised_state"));
  input.state = state.ToFloats();
  input.state.resize(static_cast<size_t>(geometry.action_dim));
  return input;
}

// The folder of the inputs that model_case{i} refers to: that of the pictures in a
// cases.safetensors.
Result<std::string> InputFolder(const CaseFiles& files) {
  constexpr std::string_view kFile = "/cases.safetensors";
  for (const json& description : files.cases()) {
    for (const auto& [key, entry] : PictureEntries(description)) {
      if (entry.first.ends_with(kFile)) {
        return entry.first.substr(0, entry.first.size() - kFile.size());
      }
    }
  }
  return BadGolden(
      files.json_path(),
      "model_case tensors need the inputs of a cases.safetensors, but no case names one");
}

}  // namespace

Status ReadLerobotCases(FileSystem& file_system, const std::string& path, CaseFiles& files,
                        const std::string& reference, const Geometry& geometry,
                        GoldenFolder& folder) {
  std::unique_ptr<CaseFiles> inputs;
  for (const auto& [name, view] : files.tensors().tensors()) {
    const std::string suffix = "." + reference;
    if (!name.starts_with("model_case") || !name.ends_with(suffix)) continue;
    if (inputs == nullptr) {
      VLASERVE_ASSIGN_OR_RETURN(const std::string relative, InputFolder(files));
      inputs = std::make_unique<CaseFiles>(file_system, JoinPath(path, relative));
      VLASERVE_RETURN_IF_ERROR(inputs->Open("cases"));
    }
    VLASERVE_ASSIGN_OR_RETURN(const std::vector<std::string> cameras, inputs->CameraOrder());
    GoldenModelCase golden;
    golden.name = name.substr(0, name.size() - suffix.size());
    golden.actions = ToReference(name, view);
    const std::string prefix = golden.name.substr(std::string_view("model_").size()) + ".";
    bool found = false;
    for (size_t i = 0; i < inputs->cases().size() && !found; ++i) {
      VLASERVE_ASSIGN_OR_RETURN(const std::string candidate, inputs->CasePrefix(i));
      if (candidate != prefix) continue;
      found = true;
      VLASERVE_ASSIGN_OR_RETURN(golden.input,
                                ReadModelInput(*inputs, i, prefix, cameras, geometry));
    }
    if (!found) return BadGolden(inputs->json_path(), "no case for \"" + name + "\"");
    folder.model_cases.push_back(std::move(golden));
  }
  for (size_t i = 0; i < files.cases().size(); ++i) {
    VLASERVE_ASSIGN_OR_RETURN(const std::string key,
                              Member<std::string>(files.cases()[i], "key", files.CasePlace(i)));
    GoldenModelCase golden;
    golden.name = key;
    VLASERVE_ASSIGN_OR_RETURN(golden.input, ReadLerobotInput(files, i, key + ".", geometry));
    VLASERVE_ASSIGN_OR_RETURN(
        golden.actions,
        files.Reference(key + ".", reference == "actions" ? "model_actions" : reference));
    folder.model_cases.push_back(std::move(golden));
  }
  return Status::Ok();
}

}  // namespace vlaserve
