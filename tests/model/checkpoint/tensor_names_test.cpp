#include "model/checkpoint/tensor_names.h"

#include "tests/support/catch.h"

namespace vlaserve {

TEST_CASE("stored names become openpi's") {
  const std::string llm = "paligemma_with_expert.paligemma.model.language_model.";
  const std::pair<std::string, std::string> cases[] = {
      {"action_in_proj.bias", "action_in_proj.bias"},
      {"model.action_in_proj.bias", "action_in_proj.bias"},
      {"model.time_mlp_out.weight", "time_mlp_out.weight"},
      {"model." + llm + "norm.weight", llm + "norm.weight"},
      {llm + "norm.weight", llm + "norm.weight"},
      {"model.paligemma_with_expert.paligemma.language_model.model.layers.3.mlp.up_proj.weight",
       llm + "layers.3.mlp.up_proj.weight"},
      {"paligemma_with_expert.paligemma.language_model.lm_head.weight",
       "paligemma_with_expert.paligemma.lm_head.weight"},
      {"paligemma_with_expert.paligemma.vision_tower.vision_model.post_layernorm.bias",
       "paligemma_with_expert.paligemma.model.vision_tower.vision_model.post_layernorm.bias"},
      {"paligemma_with_expert.paligemma.multi_modal_projector.linear.bias",
       "paligemma_with_expert.paligemma.model.multi_modal_projector.linear.bias"},
      {"model.paligemma_with_expert.gemma_expert.model.norm.weight",
       "paligemma_with_expert.gemma_expert.model.norm.weight"},
      {"model.something_else.weight", "model.something_else.weight"},
      {"model.model.action_in_proj.bias", "model.model.action_in_proj.bias"},
      {"normalize_inputs.buffer_observation_state.mean",
       "normalize_inputs.buffer_observation_state.mean"},
  };
  for (const auto& [stored, canonical] : cases) CHECK(CanonicalTensorName(stored) == canonical);
}

}  // namespace vlaserve
