// Access to the files of a golden folder: JSON members, tensors, pictures and model inputs, with
// errors that name file and key. Internal to model/policy/golden_*.cpp.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include <nlohmann/json.hpp>

#include "model/checkpoint/geometry.h"
#include "model/io/file_system.h"
#include "model/io/safetensors.h"
#include "model/io/status.h"
#include "model/policy/golden_folder.h"
#include "model/policy/pi0_model.h"
#include "model/transforms/image.h"

namespace vlaserve {

inline Status BadGolden(const std::string& where, const std::string& what) {
  return {StatusCode::kUnreadable, where + ": " + what};
}

// Member `key` of an object, of type T. `where` is the object's place in messages.
template <typename T>
Result<T> Member(const nlohmann::json& object, const char* key, const std::string& where) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || found == object.end()) {
    return BadGolden(where, std::string("no key \"") + key + "\"");
  }
  bool ok = false;
  if constexpr (std::is_same_v<T, std::string>) {
    ok = found->is_string();
  } else if constexpr (std::is_same_v<T, int64_t>) {
    ok = found->is_number_integer();
  } else {
    static_assert(std::is_same_v<T, nlohmann::json>);
    return *found;
  }
  if (!ok) return BadGolden(where, std::string("key \"") + key + "\" has the wrong type");
  return found->get<T>();
}

ReferenceTensor ToReference(std::string name, const TensorView& view);

// One case file with its JSON, and the safetensors files that it refers to. Immutable after Open
// but for Relative.
class CaseFiles {
 public:
  CaseFiles(FileSystem& files, std::string folder) : files_(files), folder_(std::move(folder)) {}

  // Reads <stem>.json and maps <stem>.safetensors.
  Status Open(const std::string& stem);

  const nlohmann::json& root() const { return json_; }
  const nlohmann::json& cases() const { return cases_; }
  const std::string& json_path() const { return json_path_; }
  const std::string& tensor_path() const { return tensor_path_; }
  const SafetensorsFile& tensors() const { return *tensors_; }

  // The place of case i in messages.
  std::string CasePlace(size_t i) const;
  // What the names of case i's tensors begin with: "case<index>.".
  Result<std::string> CasePrefix(size_t i) const;
  // Names of the camera slots, in prefix order.
  Result<std::vector<std::string>> CameraOrder() const;

  Result<TensorView> Tensor(const std::string& name) const { return Tensor(*tensors_, name); }
  static Result<TensorView> Tensor(const SafetensorsFile& file, const std::string& name);
  // A file named relative to the folder; each is opened once.
  Result<const SafetensorsFile*> Relative(const std::string& path);
  // `prefix` + `reference`; if there is none, an error that lists those there are.
  Result<ReferenceTensor> Reference(const std::string& prefix, const std::string& reference) const;

 private:
  Result<const SafetensorsFile*> Tensors(const std::string& path);

  FileSystem& files_;
  std::string folder_;
  std::string json_path_;
  std::string tensor_path_;
  nlohmann::json json_;
  nlohmann::json cases_;
  const SafetensorsFile* tensors_ = nullptr;
  std::map<std::string, std::unique_ptr<SafetensorsFile>> opened_;
};

// A picture stored as uint8 [height, width, 3].
Result<RgbImage> ToPicture(const TensorView& view, const std::string& where);

// Tokens, mask and noise under `prefix`, which all model-level cases share.
Status ReadTokensAndNoise(const CaseFiles& files, const std::string& prefix, ModelInput& input);

// The inputs of case i of a model folder.
Result<ModelInput> ReadModelInput(const CaseFiles& files, size_t i, const std::string& prefix,
                                  const std::vector<std::string>& cameras,
                                  const Geometry& geometry);

// Every case of lerobot_cases.json; `path` is its folder.
Status ReadLerobotCases(FileSystem& file_system, const std::string& path, CaseFiles& files,
                        const std::string& reference, const Geometry& geometry,
                        GoldenFolder& folder);

}  // namespace vlaserve
