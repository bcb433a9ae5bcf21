#include "server/cli/observation_folder.h"

#include <utility>

#include <nlohmann/json.hpp>

#include "model/io/json.h"
#include "server/service/picture.h"

namespace vlaserve {
namespace {

using nlohmann::json;

constexpr size_t kMaxPictureBytes = size_t{64} << 20;

Status Invalid(const std::string& place, const std::string& message) {
  return {StatusCode::kInvalidArgument, place + ": " + message};
}

Result<RgbImage> ReadPicture(FileSystem& files, const std::string& path) {
  const auto bytes = files.Read(path, kMaxPictureBytes);
  if (!bytes.ok()) return Status(StatusCode::kInvalidArgument, bytes.status().message());
  Result<RgbImage> picture =
      bytes->starts_with("\xFF\xD8") ? DecodeJpeg(*bytes) : DecodePng(*bytes);
  if (!picture.ok()) return Invalid(path, picture.status().message());
  return picture;
}

Result<std::vector<double>> ReadState(const json& entry, const std::string& place) {
  const auto state = entry.find("observation/state");
  if (state == entry.end() || !state->is_array()) {
    return Invalid(place, "expected an array \"observation/state\"");
  }
  std::vector<double> values;
  for (const json& value : *state) {
    if (!value.is_number()) return Invalid(place, "\"observation/state\": expected numbers");
    values.push_back(value.get<double>());
  }
  return values;
}

Result<Observation> ReadEntry(FileSystem& files, const std::string& folder, const json& entry,
                              const std::string& place, const PolicySettings& settings) {
  if (!entry.is_object()) return Invalid(place, "expected an object");
  Observation observation;
  for (const Camera& camera : settings.cameras) {
    if (!camera.name) continue;
    const std::string key = camera.observation_key.value_or("observation/" + *camera.name);
    const auto name = entry.find(key);
    if (name == entry.end() && camera.optional) continue;
    if (name == entry.end() || !name->is_string()) {
      return Invalid(place, "expected a file name \"" + key + "\"");
    }
    VLASERVE_ASSIGN_OR_RETURN(observation.images[*camera.name],
                              ReadPicture(files, JoinPath(folder, name->get<std::string>())));
  }
  VLASERVE_ASSIGN_OR_RETURN(observation.state, ReadState(entry, place));
  if (const auto prompt = entry.find("prompt"); prompt != entry.end()) {
    if (!prompt->is_string()) return Invalid(place, "\"prompt\": expected a string");
    observation.prompt = prompt->get<std::string>();
  }
  return observation;
}

}  // namespace

Result<std::vector<NamedObservation>> ReadObservationFolder(FileSystem& files,
                                                            const std::string& folder,
                                                            const PolicySettings& settings,
                                                            int64_t num_steps) {
  const std::string path = JoinPath(folder, "index.json");
  const auto index = ReadJsonFile(files, path);
  if (!index.ok()) return Status(StatusCode::kInvalidArgument, index.status().message());
  if (!index->is_array() || index->empty()) {
    return Invalid(path, "expected an array of observations");
  }
  std::vector<NamedObservation> observations;
  for (size_t i = 0; i < index->size(); ++i) {
    const std::string place = path + ": /" + std::to_string(i);
    VLASERVE_ASSIGN_OR_RETURN(Observation observation,
                              ReadEntry(files, folder, (*index)[i], place, settings));
    NamedObservation named{place, std::move(observation), {}};
    named.options.seed = i;
    named.options.num_steps = num_steps;
    observations.push_back(std::move(named));
  }
  return observations;
}

}  // namespace vlaserve
