#include "model/checkpoint/lerobot_processors.h"

#include <utility>

#include "model/io/json.h"

namespace vlaserve {
namespace {

constexpr size_t kMaxBytes = size_t{16} << 20;

Status ReadNormalizer(JsonObject& step, JsonObject& config, LerobotProcessor& processor) {
  VLASERVE_ASSIGN_OR_RETURN(processor.norm_map, StringMap(config, "norm_map"));
  VLASERVE_ASSIGN_OR_RETURN(processor.eps, config.OptionalPositiveNumber("eps"));
  VLASERVE_ASSIGN_OR_RETURN(processor.state_file, step.OptionalString("state_file"));
  if (processor.state_file &&
      (processor.state_file->empty() || processor.state_file->find('/') != std::string::npos)) {
    return step.Error("state_file", "expected the name of a file beside this one, found " +
                                        JsonExcerpt(nlohmann::json(*processor.state_file)));
  }
  return Status::Ok();
}

Status ReadRelativeActions(JsonObject& config, LerobotProcessor& processor) {
  VLASERVE_ASSIGN_OR_RETURN(const std::optional<bool> enabled, config.OptionalBool("enabled"));
  processor.relative_actions = enabled.value_or(false);
  VLASERVE_ASSIGN_OR_RETURN(const auto exclude, OptionalStrings(config, "exclude_joints"));
  processor.exclude_joints = exclude.value_or(std::vector<std::string>());
  VLASERVE_ASSIGN_OR_RETURN(processor.action_names, OptionalStrings(config, "action_names"));
  return Status::Ok();
}

Status ReadStep(JsonObject& step, LerobotProcessor& processor) {
  VLASERVE_ASSIGN_OR_RETURN(std::optional<std::string> name, step.OptionalString("registry_name"));
  if (!name) {
    VLASERVE_ASSIGN_OR_RETURN(name, step.OptionalString("class"));
  }
  if (!name) return step.Error("registry_name", "expected a string, found no such key");
  processor.steps.push_back(*name);
  VLASERVE_ASSIGN_OR_RETURN(std::optional<JsonObject> config, step.OptionalObject("config"));
  if (!config) return Status::Ok();
  if (*name == "rename_observations_processor") {
    VLASERVE_ASSIGN_OR_RETURN(processor.rename_map, StringMap(*config, "rename_map"));
  } else if (*name == "normalizer_processor" || *name == "unnormalizer_processor") {
    return ReadNormalizer(step, *config, processor);
  } else if (*name == "relative_actions_processor" || *name == "absolute_actions_processor") {
    return ReadRelativeActions(*config, processor);
  }
  return Status::Ok();
}

}  // namespace

Result<std::optional<LerobotProcessor>> ReadLerobotProcessor(FileSystem& files,
                                                             const std::string& directory,
                                                             std::string_view name) {
  LerobotProcessor processor;
  processor.path = JoinPath(directory, name);
  if (!files.IsFile(processor.path)) return std::optional<LerobotProcessor>();
  VLASERVE_ASSIGN_OR_RETURN(const nlohmann::json json,
                            ReadJsonFile(files, processor.path, kMaxBytes));
  VLASERVE_ASSIGN_OR_RETURN(JsonObject root,
                            JsonObject::Root(json, processor.path, StatusCode::kUnreadable));
  VLASERVE_ASSIGN_OR_RETURN(std::vector<JsonObject> steps, root.ObjectArray("steps"));
  for (JsonObject& step : steps) VLASERVE_RETURN_IF_ERROR(ReadStep(step, processor));
  return std::optional<LerobotProcessor>(std::move(processor));
}

Result<std::optional<std::vector<std::string>>> OptionalStrings(JsonObject& object,
                                                                std::string_view key) {
  using Strings = std::vector<std::string>;
  VLASERVE_ASSIGN_OR_RETURN(const nlohmann::json* array, object.OptionalArray(key));
  if (array == nullptr) return std::optional<Strings>();
  Strings strings;
  for (const nlohmann::json& element : *array) {
    if (!element.is_string()) {
      return object.Error(key, "expected only strings, found " + JsonExcerpt(element));
    }
    strings.push_back(element.get<std::string>());
  }
  return std::optional<Strings>(std::move(strings));
}

Result<std::map<std::string, std::string>> StringMap(JsonObject& object, std::string_view key) {
  std::map<std::string, std::string> map;
  VLASERVE_ASSIGN_OR_RETURN(std::optional<JsonObject> member, object.OptionalObject(key));
  if (!member) return map;
  for (const auto& [name, value] : member->value().items()) {
    if (!value.is_string()) {
      return member->Error(name, "expected a string, found " + JsonExcerpt(value));
    }
    map.emplace(name, value.get<std::string>());
  }
  return map;
}

}  // namespace vlaserve
