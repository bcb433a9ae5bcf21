// Presets: values of the options in "quant" and "pack_cache" under one name (configs/presets/), or
// in a file of the user's in the same form: {"description": …, "quant": {…}, "pack_cache": {…}}.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/io/file_system.h"
#include "server/config/config_object.h"

namespace vlaserve {

inline constexpr std::string_view kPresetKey = "quant.preset";

struct Preset {
  std::string name;  // or the path
  std::string description;
  std::vector<OptionValue> values;
};

// Names of the embedded presets, sorted.
std::vector<std::string> PresetNames();

// True for what is meant as a file: it contains a slash or ends with ".json".
bool IsPresetPath(std::string_view text);

// Errors (kInvalidArgument): no preset of this name, listing all; no such file; what ReadOptions
// reports; options of other groups; a preset that names a preset.
Result<Preset> ReadPreset(FileSystem& files, const std::string& name_or_path);

}  // namespace vlaserve
