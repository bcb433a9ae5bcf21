// Reading.

#include <algorithm>
#include <cmath>
#include <limits>

#include <nlohmann/json.hpp>

#include "model/io/json.h"
#include "model/settings/json_object.h"
#include "quant/calibration/calibration.h"
#include "quant/calibration/calibration_header.h"

namespace vlaserve {
namespace {

using nlohmann::json;

// The largest numbers that a reader believes; far above any model's.
constexpr int64_t kMaxColumns = int64_t{1} << 24;
constexpr int64_t kMaxSteps = 1000;

bool IsSha256(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

// One input of the header; `object` is /inputs/<i>.
Result<CalibrationFile::Input> CalibrationFile::ReadInput(JsonObject& object) {
  Input input;
  VLASERVE_ASSIGN_OR_RETURN(input.columns, object.Int("columns", {1, kMaxColumns}));
  VLASERVE_ASSIGN_OR_RETURN(input.tokens, object.Int("tokens", {.min = 0}));
  VLASERVE_ASSIGN_OR_RETURN(const json* rows, object.OptionalArray("rows"));
  if (rows == nullptr) return object.Error("rows", "expected an array, found no such key");
  for (const json& count : *rows) {
    if (!count.is_number_integer() || count < 0) {
      return object.Error("rows", "expected integers of at least 0, found " + JsonExcerpt(count));
    }
    input.rows.push_back(count.get<int64_t>());
  }
  if (input.rows.size() > static_cast<size_t>(kMaxSteps)) {
    return object.Error("rows", "expected at most " + std::to_string(kMaxSteps) +
                                    " denoise steps, found " + std::to_string(input.rows.size()));
  }
  VLASERVE_ASSIGN_OR_RETURN(input.sha256, object.String("sha256"));
  if (!IsSha256(input.sha256)) return object.Error("sha256", "expected 64 hexadecimal digits");
  VLASERVE_RETURN_IF_ERROR(object.RejectUnknownKeys());
  return input;
}

Status CalibrationFile::ReadHeader() {
  const auto found = file_.metadata().find(kCalibrationKey);
  if (found == file_.metadata().end()) {
    return {StatusCode::kUnreadable,
            path() + ": not a calibration file: its metadata has no \"" + kCalibrationKey + "\""};
  }
  const std::string origin = path() + ": " + kCalibrationKey;
  VLASERVE_ASSIGN_OR_RETURN(const json header, ParseJson(found->second, origin));
  VLASERVE_ASSIGN_OR_RETURN(JsonObject root,
                            JsonObject::Root(header, origin, StatusCode::kUnreadable));
  VLASERVE_ASSIGN_OR_RETURN(const int64_t format, root.Int("format", {.min = 1}));
  if (format != kCalibrationFormatVersion) {
    return {StatusCode::kUnsupported, path() + ": calibration format " + std::to_string(format) +
                                          ", this program reads format " +
                                          std::to_string(kCalibrationFormatVersion)};
  }
  VLASERVE_ASSIGN_OR_RETURN(archive_sha256_, root.String("archive_sha256"));
  if (!IsSha256(archive_sha256_)) {
    return root.Error("archive_sha256", "expected 64 hexadecimal digits");
  }
  VLASERVE_ASSIGN_OR_RETURN(num_steps_, root.Int("num_steps", {1, kMaxSteps}));
  VLASERVE_ASSIGN_OR_RETURN(observations_, root.Int("observations", {.min = 0}));
  VLASERVE_ASSIGN_OR_RETURN(seed_, root.Int("seed", {.min = 0}));
  VLASERVE_ASSIGN_OR_RETURN(std::vector<JsonObject> inputs, root.ObjectArray("inputs"));
  for (JsonObject& object : inputs) {
    VLASERVE_ASSIGN_OR_RETURN(Input input, ReadInput(object));
    inputs_.push_back(std::move(input));
  }
  VLASERVE_ASSIGN_OR_RETURN(JsonObject layers, root.Object("layers"));
  for (const auto& [name, value] : layers.value().items()) {
    VLASERVE_ASSIGN_OR_RETURN(const int64_t input,
                              layers.Int(name, {0, static_cast<int64_t>(inputs_.size()) - 1}));
    layers_.emplace(name, static_cast<size_t>(input));
  }
  VLASERVE_RETURN_IF_ERROR(root.RejectUnknownKeys());
  return Status::Ok();
}

// The tensors must be those of the header, no more and no fewer.
Status CalibrationFile::CheckTensors() const {
  size_t expected = 0;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    VLASERVE_RETURN_IF_ERROR(Tensor(AbsMaxName(i), {inputs_[i].columns}).status());
    for (size_t step = 0; step < inputs_[i].rows.size(); ++step) {
      VLASERVE_RETURN_IF_ERROR(
          Tensor(SamplesName(i, step), {inputs_[i].rows[step], inputs_[i].columns}).status());
    }
    expected += 1 + inputs_[i].rows.size();
  }
  if (file_.tensors().size() != expected) {
    return {StatusCode::kUnreadable, path() + ": " + std::to_string(file_.tensors().size()) +
                                         " tensors, its header tells of " +
                                         std::to_string(expected)};
  }
  return Status::Ok();
}

Result<const TensorView*> CalibrationFile::Tensor(const std::string& name,
                                                  const std::vector<int64_t>& shape) const {
  const TensorView* view = file_.Find(name);
  if (view == nullptr) {
    return Status(StatusCode::kUnreadable, path() + ": no tensor \"" + name + "\"");
  }
  if ((view->dtype != DType::kF32 && view->dtype != DType::kBF16) || view->shape != shape) {
    return Status(StatusCode::kUnreadable, path() + ": tensor \"" + name +
                                               "\": expected F32 or BF16 " + ShapeToString(shape) +
                                               ", found " + std::string(DTypeName(view->dtype)) +
                                               " " + ShapeToString(view->shape));
  }
  return view;
}

Result<CalibrationFile> CalibrationFile::Open(FileSystem& files, const std::string& path) {
  VLASERVE_ASSIGN_OR_RETURN(SafetensorsFile tensors, SafetensorsFile::Open(files, path));
  CalibrationFile file(std::move(tensors));
  VLASERVE_RETURN_IF_ERROR(file.ReadHeader());
  VLASERVE_RETURN_IF_ERROR(file.CheckTensors());
  return file;
}

std::vector<std::string> CalibrationFile::LayerNames() const {
  std::vector<std::string> names;
  for (const auto& [name, input] : layers_) names.push_back(name);
  return names;
}

Status CalibrationFile::CheckArchive(std::string_view archive_sha256) const {
  if (archive_sha256_ == archive_sha256) return Status::Ok();
  return {StatusCode::kInvalidArgument, path() + ": recorded with other weights: archive_sha256 " +
                                            archive_sha256_ + ", the archive's is " +
                                            std::string(archive_sha256)};
}

Result<LayerCalibration> CalibrationFile::Layer(const std::string& name, int64_t columns) const {
  const auto found = layers_.find(name);
  if (found == layers_.end()) {
    return Status(StatusCode::kInvalidArgument, path() + ": nothing was recorded of " + name +
                                                    " (" + std::to_string(layers_.size()) +
                                                    " layers were)");
  }
  const size_t index = found->second;
  const Input& input = inputs_[index];
  if (input.columns != columns) {
    return Status(StatusCode::kInvalidArgument,
                  path() + ": " + name + " was recorded with " + std::to_string(input.columns) +
                      " input features, the layer has " + std::to_string(columns));
  }
  LayerCalibration layer;
  layer.columns = columns;
  layer.tokens = input.tokens;
  VLASERVE_ASSIGN_OR_RETURN(const TensorView* abs_max, Tensor(AbsMaxName(index), {columns}));
  layer.abs_max = abs_max->ToFloats();
  for (size_t step = 0; step < input.rows.size(); ++step) {
    VLASERVE_ASSIGN_OR_RETURN(const TensorView* samples,
                              Tensor(SamplesName(index, step), {input.rows[step], columns}));
    layer.samples.push_back(samples->ToFloats());
  }
  if (LayerCalibrationSha256(layer) != input.sha256) {
    return Status(StatusCode::kUnreadable,
                  path() + ": damaged: the numbers of " + name + " do not match their digest");
  }
  // A digest tells damage, not intent.
  const auto is_bad = [](float value) { return !std::isfinite(value); };
  bool bad = std::any_of(layer.abs_max.begin(), layer.abs_max.end(), is_bad);
  for (const std::vector<float>& samples : layer.samples) {
    bad = bad || std::any_of(samples.begin(), samples.end(), is_bad);
  }
  if (bad) {
    return Status(StatusCode::kUnreadable, path() + ": NaN or Inf among the numbers of " + name);
  }
  return layer;
}

}  // namespace vlaserve
