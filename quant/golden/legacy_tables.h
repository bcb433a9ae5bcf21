// The unit tables of the reference's golden data: quantile, weight_scale_grid, zigzag.
#pragma once

#include <string>

#include "model/io/file_system.h"
#include "model/io/status.h"
#include "quant/golden/summary.h"

namespace vlaserve {

// Adds one case per entry of each table that is in `folder`. Errors: kUnreadable.
Status CheckLegacyTables(FileSystem& files, const std::string& folder, GoldenSummary& summary);

}  // namespace vlaserve
