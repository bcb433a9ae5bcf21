// Comparison with golden data of what openpi_duquant selects. Free of LibTorch.
#pragma once

#include <string>

#include "model/io/file_system.h"
#include "model/io/status.h"
#include "quant/golden/summary.h"

namespace vlaserve {

// Runs scripts.json, cases.json, linears_*.json, regexes.json, wbits_parse.json and sanitize.json
// of `folder`, those that are there; a case is a script or environment with one model, a list of
// linears or a row of a table. The format: README of the quantizer's golden data, §1. Without
// linears_*.json the released models' linears are taken. kUnreadable for a file that is not of this
// format.
Result<GoldenSummary> CheckSelection(FileSystem& files, const std::string& folder);

}  // namespace vlaserve
