// One file of integer golden data: a case, or a sweep of cases over the same weight and input.
#pragma once

#include <nlohmann/json.hpp>

#include "model/io/safetensors.h"
#include "model/io/status.h"
#include "quant/golden/summary.h"

namespace vlaserve {

// `info`: the file's metadata of that name. Errors (kUnreadable): fields or input tensors that are
// missing or of the wrong kind.
Status CheckIntOracleCase(const SafetensorsFile& file, const nlohmann::json& info,
                          GoldenSummary& summary);

}  // namespace vlaserve
