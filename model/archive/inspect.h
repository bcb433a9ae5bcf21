// What `vlaserve inspect` shows of an archive. Includes no LibTorch.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "model/archive/archive.h"

namespace vlaserve {

// Keys: path, file_bytes, archive_sha256; policy, geometry, norm_stats, export (the archive's own
// files); tokenizer_bytes; methods (signatures); tensors {count, elements, bytes, by_dtype {DTYPE:
// {count, bytes}}}; linears [{name, in, out, bias, live, dtype, bytes}], where dtype is null and
// bytes 0 for what is not stored (live: false).
nlohmann::ordered_json InspectJson(const Archive& archive);

// The same for people, as a few lines and a table of the linears; ends with a newline.
std::string InspectText(const Archive& archive);

}  // namespace vlaserve
