#include "quant/pass/check_fusions.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>

namespace vlaserve {
namespace {

using Layers = std::map<std::string, const IntLayer*>;

// Layers beside each other, in the order of `names`; empty if one of them is not there.
std::vector<Layers::const_iterator> Siblings(const Layers& layers, std::string_view parent,
                                             std::initializer_list<const char*> names) {
  std::vector<Layers::const_iterator> found;
  for (const char* name : names) {
    const auto layer = layers.find(std::string(parent) + name);
    if (layer == layers.end()) return {};
    found.push_back(layer);
  }
  return found;
}

// Only once for each block: `name` is that of its first layer.
std::string_view ParentOf(std::string_view name, std::string_view first) {
  return name.ends_with(first) ? name.substr(0, name.size() - first.size()) : std::string_view();
}

bool Takes(const FusionCount& count, const std::vector<Layers::const_iterator>& layers) {
  return std::ranges::all_of(
      layers, [&](const auto& layer) { return count.layers.contains(layer->first); });
}

bool ShareInput(const std::vector<Layers::const_iterator>& layers) {
  return std::ranges::all_of(layers, [&](const auto& layer) {
    return layers.front()->second->SharesInput(*layer->second);
  });
}

}  // namespace

std::vector<std::string> MissingFusions(const Layers& layers, const std::set<Fusion>& wanted,
                                        std::span<const FusionCount> counts) {
  std::vector<std::string> missing;
  if (!wanted.contains(Fusion::kSharedInput)) return missing;
  const bool gates = wanted.contains(Fusion::kGatedMlp);
  const FusionCount& shared = counts[static_cast<size_t>(Fusion::kSharedInput)];
  const FusionCount& gated = counts[static_cast<size_t>(Fusion::kGatedMlp)];
  for (const auto& [name, layer] : layers) {
    if (const std::string_view parent = ParentOf(name, ".q_proj"); !parent.empty()) {
      const auto found = Siblings(layers, parent, {".q_proj", ".k_proj", ".v_proj"});
      if (!found.empty() && ShareInput(found) && !Takes(shared, found)) {
        missing.push_back(std::string(parent) + ": q, k and v do not share their input");
      }
    }
    if (const std::string_view parent = ParentOf(name, ".gate_proj"); !parent.empty()) {
      const auto found = Siblings(layers, parent, {".gate_proj", ".up_proj", ".down_proj"});
      const bool could = found.size() == 3 && found[0]->second->SharesInput(*found[1]->second) &&
                         !found[0]->second->RestoresOutput() &&
                         !found[1]->second->RestoresOutput() &&
                         found[2]->second->TransformsStayInTiles();
      if (gates && could && !Takes(gated, found)) {
        missing.push_back(std::string(parent) + ": gate, up and down are not computed together");
      }
    }
  }
  return missing;
}

}  // namespace vlaserve
