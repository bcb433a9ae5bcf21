#include <algorithm>
#include <array>

#include "quant/select/select.h"

namespace vlaserve {
namespace {

constexpr std::array<std::string_view, 9> kGroups = {"llm.attn",   "llm.mlp",     "expert.attn",
                                                     "expert.mlp", "vision.attn", "vision.mlp",
                                                     "projector",  "adarms",      "heads"};

// A stack of layers: what its linears' names contain before the layer's number.
struct Stack {
  std::string_view site;
  std::string_view marker;
  std::string_view attention;
  std::string_view mlp;
};
constexpr std::array<Stack, 3> kStacks = {{
    {"llm", "language_model.layers.", "llm.attn", "llm.mlp"},
    {"expert", "gemma_expert.model.layers.", "expert.attn", "expert.mlp"},
    {"vision", "vision_model.encoder.layers.", "vision.attn", "vision.mlp"},
}};

constexpr std::array<std::string_view, 7> kHeads = {
    "action_in_proj",      "action_out_proj", "state_proj",  "action_time_mlp_in",
    "action_time_mlp_out", "time_mlp_in",     "time_mlp_out"};

constexpr std::string_view kProjector = "multi_modal_projector.linear";
constexpr std::string_view kFinalNorm = "gemma_expert.model.norm.dense";
constexpr std::string_view kAdaptiveNorm = "layernorm.dense";

// A linear inside of a stack: "3" and "self_attn.q_proj".
struct InStack {
  const Stack* stack = nullptr;
  std::string_view layer;
  std::string_view module;
};

InStack FindStack(std::string_view name) {
  for (const Stack& stack : kStacks) {
    const size_t found = name.find(stack.marker);
    if (found == std::string_view::npos) continue;
    const std::string_view rest = name.substr(found + stack.marker.size());
    const size_t dot = rest.find('.');
    if (dot == std::string_view::npos) return {};
    return {&stack, rest.substr(0, dot), rest.substr(dot + 1)};
  }
  return {};
}

std::string_view WithoutSuffix(std::string_view text, std::string_view suffix) {
  return text.ends_with(suffix) ? text.substr(0, text.size() - suffix.size()) : text;
}

}  // namespace

std::span<const std::string_view> GroupNames() { return kGroups; }

std::string_view GroupOf(std::string_view linear_name) {
  const InStack place = FindStack(linear_name);
  if (place.stack != nullptr) {
    if (place.module.starts_with("self_attn.")) return place.stack->attention;
    if (place.module.starts_with("mlp.")) return place.stack->mlp;
    return place.module.ends_with(kAdaptiveNorm) ? "adarms" : "";
  }
  if (linear_name.ends_with(kProjector)) return "projector";
  if (linear_name.ends_with(kFinalNorm)) return "adarms";
  const bool head = std::find(kHeads.begin(), kHeads.end(), linear_name) != kHeads.end();
  return head ? "heads" : "";
}

std::string SiteOf(std::string_view linear_name) {
  const InStack place = FindStack(linear_name);
  if (place.stack == nullptr) {
    if (linear_name.ends_with(kProjector)) return "projector";
    if (linear_name.ends_with(kFinalNorm)) return "expert.norm";
    return std::string(linear_name);
  }
  // "self_attn.q_proj" → "q", "self_attn.out_proj" → "o", "mlp.fc1" → "fc1",
  // "input_layernorm.dense" → "input_layernorm".
  std::string_view part = WithoutSuffix(place.module, ".dense");
  for (const std::string_view prefix : {"self_attn.", "mlp."}) {
    if (part.starts_with(prefix)) part.remove_prefix(prefix.size());
  }
  part = part == "out_proj" ? "o" : WithoutSuffix(part, "_proj");
  return std::string(place.stack->site) + "." + std::string(place.layer) + "." + std::string(part);
}

}  // namespace vlaserve
