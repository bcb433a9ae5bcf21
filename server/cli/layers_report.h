// What `vlaserve layers --json` and `--table` print: what each selected layer gets and saves.
#pragma once

#include <cstdint>
#include <string>

#include "quant/select/select.h"

namespace vlaserve {

// {"engine": …, "preset": …, "linears": n, "matched": n, "layers": [{"name", "site", "group", "in",
// "out", "weight": {…}, "act": {…}, "transform": {…}, "bytes_bfloat16", "bytes_packed",
// "bytes_saved"}], "totals": {…}}; ends with a newline.
std::string LayersJson(int64_t linears, const QuantConfig& config, const Selection& selection);

// The same for people; ends with a newline.
std::string LayersTable(const QuantConfig& config, const Selection& selection);

}  // namespace vlaserve
