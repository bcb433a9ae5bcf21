#include "model/checkpoint/checkpoint.h"

namespace vlaserve {
namespace {

constexpr std::string_view kPaligemma = "paligemma_with_expert.paligemma.";
constexpr std::string_view kGemmaExpert = "paligemma_with_expert.gemma_expert.";

std::string Join(std::string_view a, std::string_view b) { return std::string(a) + std::string(b); }

std::string Layer(std::string_view stack, int64_t index) {
  return std::string(stack) + "layers." + std::to_string(index) + ".";
}

// Collects tensors in named_parameters() order.
class Tensors {
 public:
  void Add(std::string name, std::vector<int64_t> shape) {
    list.push_back({std::move(name), std::move(shape)});
  }
  void WeightAndBias(const std::string& module, std::vector<int64_t> weight_shape) {
    const int64_t width = weight_shape[0];
    Add(module + ".weight", std::move(weight_shape));
    Add(module + ".bias", {width});
  }

  std::vector<ExpectedTensor> list;
};

// One of the two Gemma stacks, which differ in sizes and, in π0.5, in the expert's norms.
struct GemmaStack {
  std::string prefix;  // up to and with the last dot before "layers"
  int64_t width;
  int64_t mlp;
  bool adaptive_norms;
};

GemmaStack Llm(const Geometry& g) {
  return {Join(kPaligemma, "model.language_model."), g.llm_width, g.llm_mlp, false};
}

GemmaStack Expert(const Geometry& g) {
  return {Join(kGemmaExpert, "model."), g.expert_width, g.expert_mlp, g.type == PolicyType::kPi05};
}

struct LinearShape {
  std::string_view name;
  int64_t in_features;
  int64_t out_features;
};

std::vector<LinearShape> GemmaLayerLinears(const Geometry& g, const GemmaStack& stack) {
  const int64_t q_width = g.heads * g.head_dim;
  const int64_t kv_width = g.kv_heads * g.head_dim;
  return {{"self_attn.q_proj", stack.width, q_width},  {"self_attn.k_proj", stack.width, kv_width},
          {"self_attn.v_proj", stack.width, kv_width}, {"self_attn.o_proj", q_width, stack.width},
          {"mlp.gate_proj", stack.width, stack.mlp},   {"mlp.up_proj", stack.width, stack.mlp},
          {"mlp.down_proj", stack.mlp, stack.width}};
}

std::vector<LinearShape> VisionLayerLinears(const Geometry& g) {
  const int64_t width = g.vision_width;
  return {{"self_attn.k_proj", width, width}, {"self_attn.v_proj", width, width},
          {"self_attn.q_proj", width, width}, {"self_attn.out_proj", width, width},
          {"mlp.fc1", width, g.vision_mlp},   {"mlp.fc2", g.vision_mlp, width}};
}

// Linears of the root module, all with bias.
std::vector<LinearShape> TopLevelLinears(const Geometry& g) {
  const int64_t width = g.expert_width;
  std::vector<LinearShape> linears = {{"action_in_proj", g.action_dim, width},
                                      {"action_out_proj", width, g.action_dim}};
  if (g.type == PolicyType::kPi0) {
    linears.push_back({"state_proj", g.action_dim, width});
    linears.push_back({"action_time_mlp_in", 2 * width, width});
    linears.push_back({"action_time_mlp_out", width, width});
  } else {
    linears.push_back({"time_mlp_in", width, width});
    linears.push_back({"time_mlp_out", width, width});
  }
  return linears;
}

void AddVisionTensors(const Geometry& g, Tensors& tensors) {
  const std::string model = Join(kPaligemma, "model.vision_tower.vision_model.");
  tensors.WeightAndBias(model + "embeddings.patch_embedding",
                        {g.vision_width, 3, g.patch_size, g.patch_size});
  tensors.Add(model + "embeddings.position_embedding.weight",
              {g.tokens_per_camera(), g.vision_width});
  for (int64_t i = 0; i < g.vision_depth; ++i) {
    const std::string layer = Layer(model + "encoder.", i);
    tensors.WeightAndBias(layer + "layer_norm1", {g.vision_width});
    tensors.WeightAndBias(layer + "layer_norm2", {g.vision_width});
    for (const LinearShape& linear : VisionLayerLinears(g)) {
      tensors.WeightAndBias(Join(layer, linear.name), {linear.out_features, linear.in_features});
    }
  }
  tensors.WeightAndBias(model + "post_layernorm", {g.vision_width});
}

void AddGemmaNorm(const GemmaStack& stack, const std::string& module, Tensors& tensors) {
  if (stack.adaptive_norms) {
    tensors.WeightAndBias(module + ".dense", {3 * stack.width, stack.width});
  } else {
    tensors.Add(module + ".weight", {stack.width});
  }
}

void AddGemmaTensors(const Geometry& g, const GemmaStack& stack, Tensors& tensors) {
  for (int64_t i = 0; i < g.depth; ++i) {
    const std::string layer = Layer(stack.prefix, i);
    for (const LinearShape& linear : GemmaLayerLinears(g, stack)) {
      tensors.Add(Join(layer, linear.name) + ".weight", {linear.out_features, linear.in_features});
    }
    AddGemmaNorm(stack, layer + "input_layernorm", tensors);
    AddGemmaNorm(stack, layer + "post_attention_layernorm", tensors);
  }
  AddGemmaNorm(stack, stack.prefix + "norm", tensors);
}

void AddGemmaLinears(const Geometry& g, const GemmaStack& stack, std::vector<LinearInfo>& list) {
  for (int64_t i = 0; i < g.depth; ++i) {
    const std::string layer = Layer(stack.prefix, i);
    for (const LinearShape& linear : GemmaLayerLinears(g, stack)) {
      list.push_back({Join(layer, linear.name), linear.in_features, linear.out_features, false});
    }
    if (stack.adaptive_norms) {
      list.push_back({layer + "input_layernorm.dense", stack.width, 3 * stack.width, true});
      list.push_back(
          {layer + "post_attention_layernorm.dense", stack.width, 3 * stack.width, true});
    }
  }
  if (stack.adaptive_norms) {
    list.push_back({stack.prefix + "norm.dense", stack.width, 3 * stack.width, true});
  }
}

}  // namespace

std::vector<ExpectedTensor> ExpectedTensors(const Geometry& g) {
  Tensors tensors;
  AddVisionTensors(g, tensors);
  tensors.WeightAndBias(Join(kPaligemma, "model.multi_modal_projector.linear"),
                        {g.llm_width, g.vision_width});
  const GemmaStack llm = Llm(g);
  tensors.Add(llm.prefix + "embed_tokens.weight", {g.vocab_size, g.llm_width});
  AddGemmaTensors(g, llm, tensors);
  AddGemmaTensors(g, Expert(g), tensors);
  for (const LinearShape& linear : TopLevelLinears(g)) {
    tensors.WeightAndBias(std::string(linear.name), {linear.out_features, linear.in_features});
  }
  return std::move(tensors.list);
}

std::vector<LinearInfo> ReferenceLinears(const Geometry& g) {
  std::vector<LinearInfo> list;
  for (int64_t i = 0; i < g.vision_depth; ++i) {
    const std::string layer =
        Layer(Join(kPaligemma, "model.vision_tower.vision_model.encoder."), i);
    for (const LinearShape& linear : VisionLayerLinears(g)) {
      list.push_back({Join(layer, linear.name), linear.in_features, linear.out_features, true});
    }
  }
  list.push_back(
      {Join(kPaligemma, "model.multi_modal_projector.linear"), g.vision_width, g.llm_width, true});
  AddGemmaLinears(g, Llm(g), list);
  list.push_back({Join(kPaligemma, "lm_head"), g.llm_width, g.vocab_size, false, false});
  AddGemmaLinears(g, Expert(g), list);
  list.push_back({Join(kGemmaExpert, "lm_head"), g.expert_width, g.vocab_size, false, false});
  for (const LinearShape& linear : TopLevelLinears(g)) {
    list.push_back({std::string(linear.name), linear.in_features, linear.out_features, true});
  }
  return list;
}

}  // namespace vlaserve
