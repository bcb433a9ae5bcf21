// The lines that openpi_duquant prints while it chooses and replaces layers, exactly as it prints
// them (`logs/` of the quantizer's golden data). Users' scripts look for them.
//
// Lines come without a newline.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "quant/select/select.h"

namespace vlaserve {

// "[DUQUANT] SCOPE filter: …" and "Matched Linear layers"; if nothing matched and there is a scope,
// also the reference's help: how many linears there are, the first ten names, and which names the
// scope without its trailing dots would match.
std::vector<std::string> SelectionLines(std::span<const LinearInfo> linears,
                                        const QuantConfig& config, const Selection& selection);

// "[DUQUANT][DRYRUN] name: Linear(in->out) W4 A8 perm=True block_in=16 block_out=16
// row_rot=restore", and the same of a layer that was replaced. What is printed are the settings
// asked for, in the reference's words.
std::string DryRunLine(const SelectedLayer& layer, const QuantConfig& config);
std::string ReplacedLine(const SelectedLayer& layer, const QuantConfig& config);

std::string DryRunTotalLine(int64_t listed);
std::string ReplacedTotalLine(int64_t replaced);

// A whole dry run: SelectionLines, a DryRunLine per layer, DryRunTotalLine.
std::vector<std::string> DryRunLines(std::span<const LinearInfo> linears, const QuantConfig& config,
                                     const Selection& selection);

// row_rot in the reference's words: restore, propagate, 0, or whatever the environment said.
std::string RowRotationWord(const SelectedLayer& layer, const QuantConfig& config);

}  // namespace vlaserve
