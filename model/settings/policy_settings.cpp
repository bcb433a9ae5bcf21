#include "model/settings/policy_settings.h"

#include <utility>

#include "embedded/policies.h"

namespace vlaserve {
namespace {

constexpr std::string_view kSuffix = ".json";

Status Conflict(std::string_view origin, std::string_view key, std::string_view problem) {
  return {StatusCode::kInvalidArgument,
          std::string(origin) + ": /" + std::string(key) + ": " + std::string(problem)};
}

}  // namespace

Result<PolicySettings> FitSettingsToModel(const PolicySettings& settings, const Geometry& geometry,
                                          std::string_view origin) {
  if (settings.type != geometry.type) {
    return Conflict(origin, "type",
                    "the policy is for " + std::string(PolicyTypeName(settings.type)) +
                        ", but the model is " + std::string(PolicyTypeName(geometry.type)));
  }
  struct Size {
    std::string_view key;
    std::optional<int64_t> PolicySettings::*setting;
    int64_t model;
  };
  const Size sizes[] = {
      {"action_horizon", &PolicySettings::horizon, geometry.horizon},
      {"max_token_len", &PolicySettings::prompt_slots, geometry.prompt_slots},
      {"action_dim", &PolicySettings::action_dim, geometry.action_dim},
      {"image/size", &PolicySettings::image_size, geometry.image_size},
      {"image/patch_size", &PolicySettings::patch_size, geometry.patch_size},
      {"vision_heads", &PolicySettings::vision_heads, geometry.vision_heads},
  };
  PolicySettings fitted = settings;
  for (const Size& size : sizes) {
    std::optional<int64_t>& value = fitted.*size.setting;
    if (value && *value != size.model && !settings.checkpoint_wins) {
      return Conflict(origin, size.key,
                      "the policy says " + std::to_string(*value) + ", but the model has " +
                          std::to_string(size.model) + "; correct the key or leave it out");
    }
    value = size.model;
  }
  fitted.checkpoint_wins = false;
  for (const auto& [key, value] : {std::pair("state_dim", settings.state_dim),
                                   std::pair("output_action_dim", settings.output_action_dim)}) {
    if (value < 1 || value > geometry.action_dim) {
      return Conflict(origin, key,
                      "expected 1 to " + std::to_string(geometry.action_dim) +
                          " (the model's action_dim), found " + std::to_string(value));
    }
  }
  return fitted;
}

Result<PolicySettings> NamedPolicySettings(std::string_view name) {
  const std::string_view text = embedded::policies::Find(std::string(name) + std::string(kSuffix));
  if (text.empty()) {
    std::string known;
    for (const std::string& candidate : NamedPolicies()) {
      known += (known.empty() ? "" : ", ") + candidate;
    }
    return Status(StatusCode::kInvalidArgument, "no policy is named \"" + std::string(name) +
                                                    "\", expected one of: " + known +
                                                    "; or a settings file");
  }
  VLASERVE_ASSIGN_OR_RETURN(PolicySettings settings, ParsePolicySettings(text, name));
  settings.checkpoint_wins = true;
  return settings;
}

std::vector<std::string> NamedPolicies() {
  std::vector<std::string> names;
  for (std::string_view file : embedded::policies::Names()) {
    names.emplace_back(file.substr(0, file.size() - kSuffix.size()));
  }
  return names;
}

}  // namespace vlaserve
