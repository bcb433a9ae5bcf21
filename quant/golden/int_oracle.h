// Comparison with golden data of the integer format, bit for bit. Free of LibTorch.
//
// The format of the folder: README of the quantizer's golden data, §4. Every file with an `id` in
// its metadata is a case (a sweep: one per combination), as are `hadamard.safetensors` and
// `constants.safetensors`. Each tensor of a file is either an input or compared; one that is
// neither is a failure, so that nothing is left out in silence.
#pragma once

#include <string>

#include "model/io/file_system.h"
#include "model/io/status.h"
#include "quant/golden/summary.h"

namespace vlaserve {

// Runs every .safetensors file of `folder`. +0 equals -0, NaN equals NaN; everything else must be
// equal. Errors (kNotFound, kUnreadable): no such folder, a file that is not of this format.
Result<GoldenSummary> CheckIntOracle(FileSystem& files, const std::string& folder);

}  // namespace vlaserve
