// The unit tables among the golden data of selection. Free of LibTorch.
#pragma once

#include <string>

#include "model/io/file_system.h"
#include "model/io/status.h"
#include "quant/golden/summary.h"

namespace vlaserve {

// regexes.json (over the names of the released models' linears), wbits_parse.json and sanitize.json
// of `folder`, those that are there. Adds to `summary`.
Status CompareSelectionTables(FileSystem& files, const std::string& folder, GoldenSummary& summary);

}  // namespace vlaserve
