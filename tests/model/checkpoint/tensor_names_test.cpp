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

TEST_CASE("what openpi keeps in float32 is kept in float32, and nothing else") {
  const std::string kVision = "paligemma_with_expert.paligemma.model.vision_tower.vision_model.";
  const std::string kLanguage = "paligemma_with_expert.paligemma.model.language_model.";
  const std::string kExpert = "paligemma_with_expert.gemma_expert.model.";
  for (const std::string& name :
       {std::string("action_in_proj.weight"), std::string("state_proj.bias"),
        std::string("time_mlp_out.weight"),
        kVision + std::string("embeddings.patch_embedding.weight"),
        kVision + std::string("embeddings.patch_embedding.bias"),
        kVision + std::string("embeddings.position_embedding.weight"),
        kLanguage + std::string("layers.0.input_layernorm.weight"),
        kLanguage + std::string("layers.11.post_attention_layernorm.weight"),
        kLanguage + std::string("norm.weight"), kExpert + std::string("norm.weight"),
        kExpert + std::string("norm.dense.bias"),
        kExpert + std::string("layers.3.input_layernorm.dense.weight")}) {
    INFO(name);
    CHECK(IsFloat32Island(name));
  }
  for (const std::string& name : {kVision + std::string("encoder.layers.0.layer_norm1.weight"),
                                  kVision + std::string("post_layernorm.weight"),
                                  kVision + std::string("encoder.layers.0.mlp.fc1.bias"),
                                  kLanguage + std::string("embed_tokens.weight"),
                                  kLanguage + std::string("layers.0.self_attn.q_proj.weight"),
                                  kExpert + std::string("layers.0.mlp.down_proj.weight"),
                                  std::string("paligemma_with_expert.paligemma.model."
                                              "multi_modal_projector.linear.weight")}) {
    INFO(name);
    CHECK_FALSE(IsFloat32Island(name));
  }
}

}  // namespace vlaserve
