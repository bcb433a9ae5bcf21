#include <algorithm>

#include "model/settings/policy_settings.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

PolicySettings Named(const std::string& name) {
  Result<PolicySettings> settings = NamedPolicySettings(name);
  INFO(settings.status().message());
  REQUIRE(settings.ok());
  CHECK(settings->name == name);
  CHECK(settings->checkpoint_wins);
  return *settings;
}

}  // namespace

TEST_CASE("every named policy is readable and named like its file") {
  const std::vector<std::string> names = NamedPolicies();
  CHECK(std::is_sorted(names.begin(), names.end()));
  for (const char* required : {"pi0_libero", "pi05_libero", "pi05_libero_with_state_prompt"}) {
    CHECK(std::find(names.begin(), names.end(), required) != names.end());
  }
  for (const std::string& name : names) Named(name);
}

TEST_CASE("the LIBERO policies are openpi's training configurations") {
  const PolicySettings pi0 = Named("pi0_libero");
  CHECK(pi0.type == PolicyType::kPi0);
  CHECK(pi0.horizon == 50);
  CHECK(pi0.prompt_slots == 48);
  CHECK(pi0.normalization == Normalization::kZScore);
  CHECK(pi0.delta_action_mask == std::vector<bool>{true, true, true, true, true, true, false});
  CHECK(pi0.prompt_format == PromptFormat::kPi0);

  for (const char* name : {"pi05_libero", "pi05_libero_with_state_prompt"}) {
    const PolicySettings pi05 = Named(name);
    CHECK(pi05.type == PolicyType::kPi05);
    CHECK(pi05.horizon == 10);
    CHECK(pi05.prompt_slots == 200);
    CHECK(pi05.normalization == Normalization::kQuantile);
    CHECK(pi05.delta_action_mask.empty());
  }
  CHECK(Named("pi05_libero").prompt_format == PromptFormat::kPi0);
  CHECK(Named("pi05_libero_with_state_prompt").prompt_format == PromptFormat::kPi05State);

  for (const char* name : {"pi0_libero", "pi05_libero", "pi05_libero_with_state_prompt"}) {
    const PolicySettings settings = Named(name);
    CHECK(settings.state_dim == 8);
    CHECK(settings.output_action_dim == 7);
    CHECK(settings.num_steps == 10);
    CHECK(settings.asset_id == "physical-intelligence/libero");
    REQUIRE(settings.cameras.size() == 3);
    CHECK(settings.cameras[0].slot == "base_0_rgb");
    CHECK(settings.cameras[0].name == "image");
    CHECK(settings.cameras[1].slot == "left_wrist_0_rgb");
    CHECK(settings.cameras[1].name == "wrist_image");
    CHECK(settings.cameras[2].slot == "right_wrist_0_rgb");
    CHECK_FALSE(settings.cameras[2].name.has_value());
  }
}

TEST_CASE("an unknown policy name is refused with the names that exist") {
  const Result<PolicySettings> settings = NamedPolicySettings("pi0_kitchen");
  REQUIRE_FALSE(settings.ok());
  CHECK(settings.status().code() == StatusCode::kInvalidArgument);
  for (const std::string& name : NamedPolicies()) {
    CHECK(settings.status().message().find(name) != std::string::npos);
  }
}

}  // namespace vlaserve
