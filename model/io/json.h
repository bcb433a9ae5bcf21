// Strict JSON: nlohmann::json's parser with duplicate keys, trailing text, comments and
// over-deep nesting refused, and messages that name file and place.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "model/io/file_system.h"
#include "model/io/status.h"

namespace vlaserve {

// Parses one JSON value. `origin` (a file name) starts every message. kUnreadable names line and
// column of a syntax error; a duplicate key names its JSON pointer.
Result<nlohmann::json> ParseJson(std::string_view text, std::string_view origin);

// Reads and parses a file of at most `max_bytes`.
Result<nlohmann::json> ReadJsonFile(FileSystem& files, const std::string& path,
                                    size_t max_bytes = size_t{64} << 20);

}  // namespace vlaserve
