#include "server/config/presets.h"

#include <array>

#include "embedded/presets.h"
#include "model/io/json.h"

namespace vlaserve {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kSuffix = ".json";
constexpr std::array<std::string_view, 1> kOtherKeys = {"description"};

Result<Json> ReadPresetJson(FileSystem& files, const std::string& name) {
  if (IsPresetPath(name)) return ReadConfigJson(files, name);
  const std::string_view text = embedded::presets::Find(name + std::string(kSuffix));
  if (!text.empty()) return ParseJson(text, name);
  std::string names;
  for (const std::string& known : PresetNames()) names += (names.empty() ? "" : ", ") + known;
  return Status(StatusCode::kInvalidArgument,
                "unknown preset \"" + name + "\"; expected a path or one of: " + names);
}

}  // namespace

std::vector<std::string> PresetNames() {
  std::vector<std::string> names;
  for (std::string_view file : embedded::presets::Names()) {
    names.emplace_back(file.substr(0, file.size() - kSuffix.size()));
  }
  return names;
}

bool IsPresetPath(std::string_view text) {
  return text.find('/') != std::string_view::npos || text.ends_with(kSuffix);
}

Result<Preset> ReadPreset(FileSystem& files, const std::string& name_or_path) {
  Preset preset;
  preset.name = name_or_path;
  auto json = ReadPresetJson(files, name_or_path);
  // Whatever is wrong with the file, the configuration that names it is wrong.
  if (!json.ok()) return Status(StatusCode::kInvalidArgument, json.status().message());
  VLASERVE_ASSIGN_OR_RETURN(preset.values, ReadOptions(*json, name_or_path, kOtherKeys));
  if (const auto description = json->find("description"); description != json->end()) {
    if (!description->is_string()) {
      return ConfigError(name_or_path + ": /description",
                         "expected a string, found " + std::string(description->type_name()));
    }
    preset.description = description->get<std::string>();
  }
  for (const OptionValue& entry : preset.values) {
    const std::string_view key = entry.option->key;
    const bool fits =
        (key.starts_with("quant.") || key.starts_with("pack_cache.")) && key != kPresetKey;
    if (!fits) {
      return ConfigError(name_or_path + ": " + JsonPointer(key),
                         "has no place in a preset; expected options of quant and pack_cache");
    }
  }
  return preset;
}

}  // namespace vlaserve
