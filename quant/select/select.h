// Which linears a configuration selects and what each of them gets. No LibTorch, no files.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/checkpoint/checkpoint.h"
#include "model/io/status.h"
#include "quant/config/quant_config.h"

namespace vlaserve {

// One selected linear with everything resolved: per-layer bits, site overrides, blocks narrowed.
struct SelectedLayer {
  LinearInfo linear;
  std::string group;  // "llm.attn", …, "" if it belongs to none
  std::string site;   // "llm.3.down"
  LayerSettings settings;
  // As asked for: bits 16 and 32 as they are, blocks not narrowed. What the [DUQUANT] lines print.
  LayerSettings configured;
};

struct Selection {
  std::vector<SelectedLayer> layers;  // in the order of the linears
  // openpi_duquant's "Matched Linear layers": before action_out_proj is dropped.
  int64_t matched = 0;
  // One line each: names in the configuration that had no effect (allow_unknown_names).
  std::vector<std::string> notes;
};

// Errors (kInvalidArgument, Status::field() = option key): a regular expression that cannot be
// done the Python way, an unknown group, settings that do not fit a layer, a site override or
// per-layer bits entry or a layer whose name fits no linear. Nothing matched is not an error here.
// Per-layer bits win over site overrides, later overrides over earlier ones.
Result<Selection> Select(std::span<const LinearInfo> linears, const QuantConfig& config);

// The largest power of two that is at most `block` and divides `columns` (4304 → 16, odd → 1).
int64_t NarrowBlock(int64_t columns, int64_t block);

// Names of all groups, in the order of the documentation.
std::span<const std::string_view> GroupNames();
// The group of a linear, "" if none; and its site name (the name itself if it has no short form).
std::string_view GroupOf(std::string_view linear_name);
std::string SiteOf(std::string_view linear_name);

}  // namespace vlaserve
