// Comparison with golden data of openpi_duquant's own arithmetic. Free of LibTorch in this header.
//
// The format of the folder and what is demanded: README of the quantizer's golden data, §2.
#pragma once

#include <string>

#include "model/io/file_system.h"
#include "model/io/status.h"
#include "quant/golden/summary.h"

namespace vlaserve {

// Runs every file of `folder`/cases through packer and engines, with the imported packs and with
// transforms of our own, and the unit tables. Errors: kNotFound, kUnreadable for a folder or file
// that is not of this format; what packer and engines report is a failure of its case.
Result<GoldenSummary> CheckLegacy(FileSystem& files, const std::string& folder);

}  // namespace vlaserve
