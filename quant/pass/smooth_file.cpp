#include "quant/pass/smooth_file.h"

#include <cmath>
#include <utility>

#include "model/io/json.h"

namespace vlaserve {

Result<std::map<std::string, std::vector<float>>> ReadSmoothFile(FileSystem& files,
                                                                 const std::string& path) {
  VLASERVE_ASSIGN_OR_RETURN(const nlohmann::json json, ReadJsonFile(files, path));
  const auto error = [&path](const std::string& place, const std::string& expected) {
    return Status(StatusCode::kUnreadable, path + ": " + place + ": expected " + expected);
  };
  if (!json.is_object() || !json.contains("layers") || !json["layers"].is_object()) {
    return error("layers", "an object of linear names");
  }
  std::map<std::string, std::vector<float>> layers;
  for (const auto& [name, scales] : json["layers"].items()) {
    if (!scales.is_array()) return error("layers." + name, "an array of numbers");
    std::vector<float>& values = layers[name];
    for (const nlohmann::json& scale : scales) {
      const float value = scale.is_number() ? scale.get<float>() : 0.0F;
      if (!std::isfinite(value) || value <= 0.0F) {
        return error("layers." + name + "[" + std::to_string(values.size()) + "]",
                     "a finite number above zero");
      }
      values.push_back(value);
    }
  }
  return layers;
}

}  // namespace vlaserve
