// Comparison with golden data of what openpi_duquant prints. Free of LibTorch in this header.
#pragma once

#include <string>

#include "model/io/file_system.h"
#include "model/io/status.h"
#include "quant/golden/summary.h"

namespace vlaserve {

// Runs logs.json of `folder`: a case is a session (from its environment to the lines of selection
// and replacement, and with layers that run to those of the first forward and the profile) or a
// profile table. The format: README of the quantizer's golden data, §3; sessions without `forwards`
// (SmoothQuant's messages), atm.json and equivalence.json hold lines that this server does not
// print. kNotFound without logs.json, kUnreadable if it is not of this format.
Result<GoldenSummary> CheckLogs(FileSystem& files, const std::string& folder);

}  // namespace vlaserve
