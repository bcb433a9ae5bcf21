// Renderings of the reports, for people and for programs. Text ends with a newline; numbers that
// are not finite are strings in JSON ("inf", "nan").
#pragma once

#include <cstddef>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "quant/report/equivalence.h"
#include "quant/report/quant_report.h"

namespace vlaserve {

// One line per observation, then the verdict.
std::string EquivalenceText(const EquivalenceReport& report);
nlohmann::json EquivalenceJson(const EquivalenceReport& report);

// A table of the `top` worst layers (0: all), then one of the chunks and their summary.
std::string QuantReportText(const QuantReport& report, size_t top);
// Every layer, worst first, and every chunk.
nlohmann::json QuantReportJson(const QuantReport& report);

}  // namespace vlaserve
