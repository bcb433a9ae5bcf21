#include "quant/select/log_lines.h"

#include <algorithm>

namespace vlaserve {
namespace {

constexpr size_t kFirstNames = 10;
constexpr size_t kNamesWithPrefix = 5;

std::string Settings(const SelectedLayer& layer, const QuantConfig& config) {
  const LayerSettings& settings = layer.configured;
  const TransformSettings& transform = settings.transform;
  const int64_t block_out = transform.block_out == 0 ? transform.block : transform.block_out;
  std::string text = " W" + std::to_string(settings.weight.bits);
  text += " A" + std::to_string(settings.activation.bits);
  text += " perm=";
  text += transform.permute == Permute::kOff ? "False" : "True";
  text += " block_in=" + std::to_string(transform.block);
  text += " block_out=" + std::to_string(block_out);
  return text + " row_rot=" + RowRotationWord(layer, config);
}

std::string LinearText(const LinearInfo& linear) {
  return linear.name + ": Linear(" + std::to_string(linear.in_features) + "->" +
         std::to_string(linear.out_features) + ")";
}

void AddHelp(std::span<const LinearInfo> linears, const std::string& scope,
             std::vector<std::string>& lines) {
  const auto debug = [&lines](const std::string& text) {
    lines.push_back("[DUQUANT] DEBUG: " + text);
  };
  debug("Total Linear layers in model: " + std::to_string(linears.size()));
  debug("First " + std::to_string(kFirstNames) + " Linear layer names:");
  for (const LinearInfo& linear : linears.first(std::min(kFirstNames, linears.size()))) {
    debug("  " + linear.name);
  }
  const std::string prefix = scope.substr(0, scope.find_last_not_of('.') + 1);
  std::vector<std::string> names;
  for (const LinearInfo& linear : linears) {
    if (linear.name.starts_with(prefix)) names.push_back(linear.name);
  }
  debug("Layers matching prefix '" + prefix + "': " + std::to_string(names.size()));
  for (size_t i = 0; i < std::min(kNamesWithPrefix, names.size()); ++i) debug("  " + names[i]);
}

}  // namespace

std::string RowRotationWord(const SelectedLayer& layer, const QuantConfig& config) {
  if (config.row_rot_word) return *config.row_rot_word;
  if (config.compat_bugs.row_rot_none) return "none";
  switch (layer.configured.transform.rotate_out) {
    case RotateOut::kOff:
      return "0";
    case RotateOut::kRestore:
      return "restore";
    case RotateOut::kPropagate:
      return "propagate";
  }
  return "";
}

std::vector<std::string> SelectionLines(std::span<const LinearInfo> linears,
                                        const QuantConfig& config, const Selection& selection) {
  const std::string& scope = config.select.scope;
  std::vector<std::string> lines = {
      "[DUQUANT] SCOPE filter: '" + scope + "'",
      "[DUQUANT] Matched Linear layers: " + std::to_string(selection.matched)};
  if (selection.matched == 0 && !scope.empty()) AddHelp(linears, scope, lines);
  return lines;
}

std::string DryRunLine(const SelectedLayer& layer, const QuantConfig& config) {
  return "[DUQUANT][DRYRUN] " + LinearText(layer.linear) + Settings(layer, config);
}

std::string ReplacedLine(const SelectedLayer& layer, const QuantConfig& config) {
  return "[DUQUANT][REPLACED] " + LinearText(layer.linear) + " -> DuQuantLinear" +
         Settings(layer, config);
}

std::string DryRunTotalLine(int64_t listed) {
  return "[DUQUANT] Dry-run total layers listed: " + std::to_string(listed);
}

std::string ReplacedTotalLine(int64_t replaced) {
  return "[DUQUANT] Total layers replaced: " + std::to_string(replaced);
}

std::vector<std::string> DryRunLines(std::span<const LinearInfo> linears, const QuantConfig& config,
                                     const Selection& selection) {
  std::vector<std::string> lines = SelectionLines(linears, config, selection);
  for (const SelectedLayer& layer : selection.layers) lines.push_back(DryRunLine(layer, config));
  lines.push_back(DryRunTotalLine(static_cast<int64_t>(selection.layers.size())));
  return lines;
}

}  // namespace vlaserve
