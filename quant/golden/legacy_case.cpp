#include "quant/golden/legacy_case.h"

#include <utility>

#include <ATen/ATen.h>

#include "model/io/json.h"

namespace vlaserve {
namespace {

Status Unreadable(const std::string& path, const std::string& message) {
  return Status(StatusCode::kUnreadable, path + ": " + message);
}

// An entry of the case's JSON; the reader reports a wrong type with `path`.
template <typename T>
Result<T> Entry(const nlohmann::json& object, const char* key, const std::string& path) {
  const auto entry = object.find(key);
  if (entry == object.end()) return Unreadable(path, std::string("info lacks ") + key);
  try {
    return entry->get<T>();
  } catch (const nlohmann::json::exception&) {
    return Unreadable(path, std::string("info has another type of ") + key);
  }
}

at::Tensor Rounded(const at::Tensor& tensor, at::ScalarType dtype) {
  return tensor.to(dtype).to(at::kFloat);
}

}  // namespace

Result<LegacyCase> LegacyCase::Read(FileSystem& files, const std::string& folder,
                                    const std::string& path) {
  LegacyCase result;
  result.id_ = path;
  VLASERVE_ASSIGN_OR_RETURN(const SafetensorsFile file,
                            SafetensorsFile::Open(files, JoinPath(folder, path)));
  const auto info = file.metadata().find("info");
  if (info == file.metadata().end()) return Unreadable(file.path(), "no `info` in the metadata");
  VLASERVE_ASSIGN_OR_RETURN(result.info_, ParseJson(info->second, file.path() + " info"));
  for (const auto& [name, view] : file.tensors()) {
    result.tensors_[name] = ToTensor(view);
    result.own_.insert(name);
  }
  const nlohmann::json elsewhere =
      result.info_.value("tensors_in_other_file", nlohmann::json::object());
  for (const auto& [name, other_path] : elsewhere.items()) {
    if (!other_path.is_string()) return Unreadable(file.path(), name + ": no file name");
    VLASERVE_ASSIGN_OR_RETURN(
        const SafetensorsFile other,
        SafetensorsFile::Open(files, JoinPath(folder, other_path.get<std::string>())));
    const TensorView* const view = other.Find(name);
    if (view == nullptr) return Unreadable(other.path(), "no tensor " + name);
    result.tensors_[name] = ToTensor(*view);
  }
  VLASERVE_ASSIGN_OR_RETURN(result.layer_, Entry<std::string>(result.info_, "layer", path));
  VLASERVE_ASSIGN_OR_RETURN(const std::string pack, Entry<std::string>(result.info_, "pack", path));
  VLASERVE_ASSIGN_OR_RETURN(result.npz_, ReadNpzPack(files, JoinPath(folder, pack)));
  VLASERVE_RETURN_IF_ERROR(result.ReadConfig());
  VLASERVE_ASSIGN_OR_RETURN(
      const SafetensorsFile layer,
      SafetensorsFile::Open(files, JoinPath(folder, "layers/" + result.layer_ + ".safetensors")));
  VLASERVE_RETURN_IF_ERROR(result.ReadInputs(layer));
  return result;
}

Status LegacyCase::ReadConfig() {
  VLASERVE_ASSIGN_OR_RETURN(const std::string dtype, Entry<std::string>(info_, "dtype", id_));
  if (dtype != "f32" && dtype != "bf16") return Unreadable(id_, "dtype " + dtype);
  dtype_ = dtype == "bf16" ? at::kBFloat16 : at::kFloat;
  VLASERVE_ASSIGN_OR_RETURN(const nlohmann::json config,
                            Entry<nlohmann::json>(info_, "config", id_));
  WeightSettings& weight = settings_.weight;
  ActivationSettings& activation = settings_.activation;
  TransformSettings& transform = settings_.transform;
  weight.group = 0;
  weight.rounding = WeightRounding::kGrid5;
  activation.mode = ActivationMode::kStaticChannel;
  transform.rotate_in = RotateIn::kWeightSvd;
  VLASERVE_ASSIGN_OR_RETURN(weight.bits, Entry<int64_t>(config, "wbits", id_));
  VLASERVE_ASSIGN_OR_RETURN(activation.bits, Entry<int64_t>(config, "abits", id_));
  VLASERVE_ASSIGN_OR_RETURN(activation.percentile, Entry<double>(config, "pct", id_));
  VLASERVE_ASSIGN_OR_RETURN(transform.block, Entry<int64_t>(config, "block", id_));
  VLASERVE_ASSIGN_OR_RETURN(transform.block_out, Entry<int64_t>(config, "block_out", id_));
  VLASERVE_ASSIGN_OR_RETURN(const bool permute, Entry<bool>(config, "permute", id_));
  VLASERVE_ASSIGN_OR_RETURN(const std::string rows, Entry<std::string>(config, "row_rot", id_));
  transform.permute = permute ? Permute::kWeightZigzag : Permute::kOff;
  transform.rotate_out = rows == "restore"     ? RotateOut::kRestore
                         : rows == "propagate" ? RotateOut::kPropagate
                                               : RotateOut::kOff;
  compat_bugs_.row_rot_none = transform.rotate_out == RotateOut::kOff && rows != "0";
  compat_bugs_.first_batch_calib = true;
  compat_bugs_.wbits32_scale1 = weight.bits >= 16;
  return Status::Ok();
}

Status LegacyCase::ReadInputs(const SafetensorsFile& layer) {
  const TensorView* const weight = layer.Find("weight");
  if (weight == nullptr || weight->shape.size() != 2) {
    return Unreadable(layer.path(), "no weight [N, K]");
  }
  out_features_ = weight->shape[0];
  in_features_ = weight->shape[1];
  const at::Tensor rounded = Rounded(ToTensor(*weight), dtype_).contiguous();
  weight_.assign(rounded.const_data_ptr<float>(),
                 rounded.const_data_ptr<float>() + rounded.numel());
  if (const TensorView* const bias = layer.Find("bias")) bias_ = ToTensor(*bias).to(dtype_);
  for (int i = 0;; ++i) {
    std::string name = "x";
    name += std::to_string(i);
    at::Tensor x = Find(name);
    if (!x.defined()) {
      const TensorView* const view = layer.Find(name);
      if (view == nullptr) break;
      x = ToTensor(*view);
    }
    inputs_.push_back(x.to(dtype_));
  }
  if (inputs_.empty()) return Unreadable(layer.path(), "no x0");
  return Status::Ok();
}

bool LegacyCase::transforms_only() const {
  return settings_.weight.bits == 0 && settings_.activation.bits == 0;
}

at::Tensor LegacyCase::Find(const std::string& tensor) {
  used_.insert(tensor);
  const auto found = tensors_.find(tensor);
  return found == tensors_.end() ? at::Tensor() : found->second;
}

std::vector<std::string> LegacyCase::Unused() const {
  std::vector<std::string> unused;
  for (const std::string& name : own_) {
    if (!used_.contains(name)) unused.push_back(name);
  }
  return unused;
}

at::Tensor LegacyCase::WeightTensor() const {
  return at::tensor(weight_, at::TensorOptions(at::kFloat)).reshape({out_features_, in_features_});
}

PackRequest LegacyCase::Request(bool import) const {
  PackRequest request;
  request.name = id_;
  request.weight = weight_;
  request.out_features = out_features_;
  request.in_features = in_features_;
  request.settings = settings_;
  request.arithmetic = bf16() ? PackArithmetic::kLegacyBf16 : PackArithmetic::kLegacyF32;
  request.npz = import ? &npz_ : nullptr;
  request.compat_bugs = compat_bugs_;
  return request;
}

}  // namespace vlaserve
