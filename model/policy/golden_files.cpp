#include "model/policy/golden_files.h"

#include <utility>

#include "model/io/json.h"
#include "model/transforms/image_resize.h"

namespace vlaserve {
namespace {

using nlohmann::json;

// A picture that has the model's size already.
Result<std::vector<float>> SquarePixels(const TensorView& view, int64_t side,
                                        const std::string& where) {
  VLASERVE_ASSIGN_OR_RETURN(const RgbImage image, ToPicture(view, where));
  if (image.height != side || image.width != side) {
    return BadGolden(where, "the model's pictures have " + std::to_string(side) +
                                " pixels a side, found " + ShapeToString(view.shape));
  }
  std::vector<float> pixels(image.pixels.size());
  ToModelPixels(image, pixels);
  return pixels;
}

std::vector<uint8_t> ToMask(const TensorView& view) {
  std::vector<uint8_t> mask;
  for (const int64_t value : view.ToInts()) mask.push_back(value != 0 ? 1 : 0);
  return mask;
}

}  // namespace

ReferenceTensor ToReference(std::string name, const TensorView& view) {
  return {std::move(name), view.shape, view.ToDoubles()};
}

Status CaseFiles::Open(const std::string& stem) {
  json_path_ = JoinPath(folder_, stem + ".json");
  tensor_path_ = JoinPath(folder_, stem + ".safetensors");
  VLASERVE_ASSIGN_OR_RETURN(json_, ReadJsonFile(files_, json_path_));
  VLASERVE_ASSIGN_OR_RETURN(tensors_, Tensors(tensor_path_));
  VLASERVE_ASSIGN_OR_RETURN(cases_, Member<json>(json_, "cases", json_path_));
  if (!cases_.is_array()) return BadGolden(json_path_, "\"cases\" is not an array");
  return Status::Ok();
}

std::string CaseFiles::CasePlace(size_t i) const {
  return json_path_ + ": /cases/" + std::to_string(i);
}

Result<TensorView> CaseFiles::Tensor(const SafetensorsFile& file, const std::string& name) {
  const TensorView* view = file.Find(name);
  if (view == nullptr) return BadGolden(file.path(), "no tensor \"" + name + "\"");
  return *view;
}

Result<const SafetensorsFile*> CaseFiles::Relative(const std::string& path) {
  return Tensors(JoinPath(folder_, path));
}

Result<ReferenceTensor> CaseFiles::Reference(const std::string& prefix,
                                             const std::string& reference) const {
  const TensorView* view = tensors_->Find(prefix + reference);
  if (view != nullptr) return ToReference(prefix + reference, *view);
  std::string known;
  for (const auto& [name, other] : tensors_->tensors()) {
    const size_t at = name.find("actions");
    if (name.starts_with(prefix) && at != std::string::npos && at >= prefix.size()) {
      known += (known.empty() ? "" : ", ") + name.substr(prefix.size());
    }
  }
  return Status(StatusCode::kInvalidArgument, "reference",
                tensor_path_ + ": no reference \"" + prefix + reference +
                    "\"; there are: " + (known.empty() ? "none" : known));
}

Result<const SafetensorsFile*> CaseFiles::Tensors(const std::string& path) {
  const auto known = opened_.find(path);
  if (known != opened_.end()) return known->second.get();
  VLASERVE_ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::Open(files_, path));
  auto owned = std::make_unique<SafetensorsFile>(std::move(file));
  const SafetensorsFile* pointer = owned.get();
  opened_.emplace(path, std::move(owned));
  return pointer;
}

Result<std::string> CaseFiles::CasePrefix(size_t i) const {
  VLASERVE_ASSIGN_OR_RETURN(const int64_t index, Member<int64_t>(cases_[i], "index", CasePlace(i)));
  return "case" + std::to_string(index) + ".";
}

Result<std::vector<std::string>> CaseFiles::CameraOrder() const {
  VLASERVE_ASSIGN_OR_RETURN(const json order, Member<json>(json_, "camera_order", json_path_));
  std::vector<std::string> names;
  if (order.is_array()) {
    for (const json& name : order) {
      if (name.is_string()) names.push_back(name.get<std::string>());
    }
  }
  if (names.empty() || names.size() != order.size()) {
    return BadGolden(json_path_, "\"camera_order\" is not a list of names");
  }
  return names;
}

Result<RgbImage> ToPicture(const TensorView& view, const std::string& where) {
  if (view.dtype != DType::kU8 || view.shape.size() != 3 || view.shape[2] != 3) {
    return BadGolden(where, "a picture must be U8 [height, width, 3], found " +
                                std::string(DTypeName(view.dtype)) + " " +
                                ShapeToString(view.shape));
  }
  RgbImage image;
  image.height = static_cast<uint32_t>(view.shape[0]);
  image.width = static_cast<uint32_t>(view.shape[1]);
  const auto* bytes = reinterpret_cast<const uint8_t*>(view.bytes.data());
  image.pixels.assign(bytes, bytes + view.bytes.size());
  return image;
}

Status ReadTokensAndNoise(const CaseFiles& files, const std::string& prefix, ModelInput& input) {
  VLASERVE_ASSIGN_OR_RETURN(const TensorView tokens, files.Tensor(prefix + "tokens"));
  VLASERVE_ASSIGN_OR_RETURN(const TensorView mask, files.Tensor(prefix + "token_mask"));
  VLASERVE_ASSIGN_OR_RETURN(const TensorView noise, files.Tensor(prefix + "noise"));
  input.tokens = tokens.ToInts();
  input.token_mask = ToMask(mask);
  input.noise = noise.ToFloats();
  return Status::Ok();
}

Result<ModelInput> ReadModelInput(const CaseFiles& files, size_t i, const std::string& prefix,
                                  const std::vector<std::string>& cameras,
                                  const Geometry& geometry) {
  const json& description = files.cases()[i];
  const std::string where = files.CasePlace(i);
  ModelInput input;
  VLASERVE_RETURN_IF_ERROR(ReadTokensAndNoise(files, prefix, input));
  VLASERVE_ASSIGN_OR_RETURN(input.num_steps, Member<int64_t>(description, "num_steps", where));
  VLASERVE_ASSIGN_OR_RETURN(const json images, Member<json>(description, "images", where));
  VLASERVE_ASSIGN_OR_RETURN(const json masks, Member<json>(description, "image_masks", where));
  for (const std::string& camera : cameras) {
    VLASERVE_ASSIGN_OR_RETURN(const std::string picture,
                              Member<std::string>(images, camera.c_str(), where + "/images"));
    VLASERVE_ASSIGN_OR_RETURN(const json valid,
                              Member<json>(masks, camera.c_str(), where + "/image_masks"));
    CameraInput slot;
    slot.valid = valid == json(true);
    if (picture != "zeros") {  // a black picture, which an empty slot is
      VLASERVE_ASSIGN_OR_RETURN(const TensorView view, files.Tensor(picture));
      VLASERVE_ASSIGN_OR_RETURN(slot.pixels, SquarePixels(view, geometry.image_size,
                                                          files.tensor_path() + ": " + picture));
    }
    input.cameras.push_back(std::move(slot));
  }
  if (geometry.type == PolicyType::kPi0) {
    VLASERVE_ASSIGN_OR_RETURN(const TensorView state, files.Tensor(prefix + "state"));
    input.state = state.ToFloats();
  }
  return input;
}

}  // namespace vlaserve
