// Options from a JSON object: a config file's, or a preset's.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/io/file_system.h"
#include "server/config/option.h"

namespace vlaserve {

struct OptionValue {
  const Option* option = nullptr;
  nlohmann::json value;
};

// Reads a config file's JSON: UTF-8 without byte order mark, one object, at most 1 MiB.
Result<nlohmann::json> ReadConfigJson(FileSystem& files, const std::string& path);

// Every option that `root` sets, checked; "$schema" and the keys in `others` may stand beside them.
// Paths are made relative to the folder of `origin`, which starts every message (kInvalidArgument)
// before the JSON pointer.
Result<std::vector<OptionValue>> ReadOptions(const nlohmann::json& root, const std::string& origin,
                                             std::span<const std::string_view> others);

// "origin: what" as kInvalidArgument.
Status ConfigError(std::string_view origin, std::string_view what);

}  // namespace vlaserve
