// What the sources of a configuration leave open is settled here, once all are known: an engine
// that a preset or openpi_duquant's variables ask for must be able to do what is asked of it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/config/load.h"

namespace vlaserve {

// The entry of an option of the table.
ResolvedOption& Entry(std::span<ResolvedOption> options, std::string_view key);

// Changes values that no user set (default, preset, openpi_duquant's variables), one note each:
//   engine: 0, 16 or 32 bits of weights and activations → transforms_only; of activations alone, or
//     2 to 7 bits of them → fake; of weights alone, with openpi_duquant's scales → legacy_exact;
//   act.mode: what only legacy_exact has → dynamic_token for engines int and fake;
//   select.groups: llm and expert, if nothing is selected otherwise.
void SettleQuant(std::span<ResolvedOption> options, std::vector<std::string>& notes);

}  // namespace vlaserve
