// The parts of `vlaserve check` that are about quantization. Each returns the exit code.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "server/cli/config_arguments.h"
#include "server/cli/observation_arguments.h"

namespace vlaserve {

struct QuantCheckArguments {
  std::string archive;
  ConfigArguments config;
  std::vector<std::string> runtime;  // assignments of the runtime's own flags
  ObservationArguments observations;
  bool json = false;

  double tolerance = 1e-4;  // --equivalence

  std::string out;  // --quant-report: file for the whole report as JSON; empty: none
  size_t top = 20;  // --quant-report: layers in the table; 0: all
};

// Transforms without quantization against float. openpi_duquant's recipe, 32 bits, is understood.
int RunEquivalence(const QuantCheckArguments& arguments);

// The configured quantization against float, layer by layer and chunk by chunk.
int RunQuantReport(const QuantCheckArguments& arguments);

// The quantizer's golden data: `folder` holds subfolders int_oracle, legacy, selection or logs, or
// is one of them.
int RunQuantGolden(const std::string& folder, bool json);

}  // namespace vlaserve
