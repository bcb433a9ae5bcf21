// Groups and site names of all linears of the two models.
#include <map>
#include <set>
#include <string>

#include "model/checkpoint/synth.h"
#include "quant/select/select.h"
#include "tests/support/catch.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)

namespace {

std::map<std::string, int> CountGroups(PolicyType type) {
  std::map<std::string, int> counts;
  for (const LinearInfo& linear : ReferenceLinears(SynthGeometry(type, SynthSize::kFull))) {
    ++counts[std::string(GroupOf(linear.name))];
  }
  return counts;
}

}  // namespace

TEST_CASE("every linear but the never-run heads belongs to the group one expects") {
  const std::map<std::string, int> pi0 = {
      {"llm.attn", 72},   {"llm.mlp", 54},      {"expert.attn", 72},
      {"expert.mlp", 54}, {"vision.attn", 108}, {"vision.mlp", 54},
      {"projector", 1},   {"heads", 5},         {"", 2}};
  CHECK(CountGroups(PolicyType::kPi0) == pi0);
  auto pi05 = pi0;
  pi05["heads"] = 4;
  pi05["adarms"] = 37;
  CHECK(CountGroups(PolicyType::kPi05) == pi05);
}

TEST_CASE("every linear has a site name of its own") {
  for (const PolicyType type : {PolicyType::kPi0, PolicyType::kPi05}) {
    std::set<std::string> sites;
    for (const LinearInfo& linear : ReferenceLinears(SynthGeometry(type, SynthSize::kFull))) {
      INFO(linear.name);
      CHECK(sites.insert(SiteOf(linear.name)).second);
    }
  }
}

TEST_CASE("site names are short") {
  const std::string llm = "paligemma_with_expert.paligemma.model.language_model.layers.3.";
  const std::string expert = "paligemma_with_expert.gemma_expert.model.";
  const std::string vision =
      "paligemma_with_expert.paligemma.model.vision_tower.vision_model.encoder.layers.26.";
  CHECK(SiteOf(llm + "mlp.down_proj") == "llm.3.down");
  CHECK(SiteOf(llm + "self_attn.q_proj") == "llm.3.q");
  CHECK(SiteOf(expert + "layers.17.self_attn.o_proj") == "expert.17.o");
  CHECK(SiteOf(expert + "layers.0.input_layernorm.dense") == "expert.0.input_layernorm");
  CHECK(SiteOf(expert + "norm.dense") == "expert.norm");
  CHECK(SiteOf(vision + "mlp.fc1") == "vision.26.fc1");
  CHECK(SiteOf(vision + "self_attn.out_proj") == "vision.26.o");
  CHECK(SiteOf("paligemma_with_expert.paligemma.model.multi_modal_projector.linear") ==
        "projector");
  CHECK(SiteOf("action_out_proj") == "action_out_proj");
}
