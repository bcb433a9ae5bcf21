#include "model/export/module_builder.h"

#include <memory>
#include <utility>
#include <vector>

#include "embedded/torchscript.h"
#include "model/archive/torch_errors.h"
#include "model/export/template.h"

namespace vlaserve {
namespace {

using torch::jit::Module;

struct Child {
  std::string name;
  Module module;
};

struct Attribute {
  std::string name;
  c10::TypePtr type;
  c10::IValue value;
};

// What a module consists of. The class type of its kind gets parameters, children and attributes in
// this order, and its methods from the template files.
struct Parts {
  std::string kind;                     // class name
  std::vector<std::string> templates;   // file names; none: a pure container
  std::string path;                     // prefix of the parameters' names
  std::vector<std::string> parameters;  // names below path
  std::vector<Child> children;
  std::vector<Attribute> attributes;
};

class Builder {
 public:
  Builder(const Geometry& geometry, const std::map<std::string, at::Tensor>& tensors)
      : geometry_(geometry),
        tensors_(tensors),
        values_{{"DEPTH", geometry.depth},
                {"LAST", geometry.depth - 1},
                {"VISION_DEPTH", geometry.vision_depth},
                {"FLOAT32", static_cast<int64_t>(at::kFloat)},
                {"FLOAT64", static_cast<int64_t>(at::kDouble)},
                {"INT64", static_cast<int64_t>(at::kLong)}} {}

  Module Root();
  const Status& status() const { return status_; }

 private:
  Module Make(const Parts& parts);
  void Define(Module& module, const Parts& parts);
  // An undefined tensor, and a failure status, if there is none of that name.
  at::Tensor Tensor(const std::string& name) {
    const auto tensor = tensors_.find(name);
    if (tensor != tensors_.end()) return tensor->second;
    if (status_.ok()) {
      status_ = Status(StatusCode::kInternal, "the module needs the tensor " + name);
    }
    return {};
  }

  Module Linear(const std::string& path) {
    return Make({"Linear", {"linear.py"}, path, {"weight", "bias"}, {}, {}});
  }
  Module LinearWithoutBias(const std::string& path) {
    return Make({"LinearWithoutBias", {"linear_without_bias.py"}, path, {"weight"}, {}, {}});
  }
  Module Float32Linear(const std::string& path) {
    return Make({"Float32Linear", {"float32_linear.py"}, path, {"weight", "bias"}, {}, {}});
  }
  Module Embedding(const std::string& path) {
    return Make({"Embedding", {"embedding.py"}, path, {"weight"}, {}, {}});
  }
  Module Container(const std::string& kind, std::vector<Child> children) {
    return Make({kind, {}, "", {}, std::move(children), {}});
  }
  template <typename MakeLayer>
  Module ModuleList(const std::string& kind, int64_t count, const MakeLayer& make_layer) {
    std::vector<Child> layers;
    for (int64_t i = 0; i < count; ++i) layers.push_back({std::to_string(i), make_layer(i)});
    return Container(kind, std::move(layers));
  }

  Module LayerNorm(const std::string& path);
  Module SiglipEncoderLayer(const std::string& path);
  Module VisionTransformer(const std::string& path);
  Module RmsNorm(const std::string& path, bool adaptive);
  Module GemmaLayer(const std::string& path, bool adaptive);
  Module GemmaLayers(const std::string& path, bool adaptive);
  Module LanguageModel(const std::string& path);
  Module ExpertModel(const std::string& path);

  const Geometry& geometry_;
  const std::map<std::string, at::Tensor>& tensors_;
  const TemplateValues values_;
  std::shared_ptr<torch::jit::CompilationUnit> unit_ =
      std::make_shared<torch::jit::CompilationUnit>();
  std::map<std::string, c10::ClassTypePtr> types_;  // by kind
  Status status_;
};

Module Builder::Make(const Parts& parts) {
  auto [entry, is_new] = types_.try_emplace(parts.kind);
  if (is_new) {
    entry->second = c10::ClassType::create(c10::QualifiedName("__torch__." + parts.kind), unit_,
                                           /*is_module=*/true);
    unit_->register_type(entry->second);
  }
  Module module(unit_, entry->second);
  for (const std::string& name : parts.parameters) {
    module.register_parameter(name, Tensor(parts.path + "." + name), /*is_buffer=*/false);
  }
  for (const Child& child : parts.children) module.register_module(child.name, child.module);
  for (const Attribute& attribute : parts.attributes) {
    const bool is_buffer = attribute.value.isTensor();
    module.register_attribute(attribute.name, attribute.type, attribute.value,
                              /*is_param=*/false, is_buffer);
  }
  if (is_new) Define(module, parts);
  return module;
}

// All methods of a kind are compiled at once, since they may call each other in any order.
void Builder::Define(Module& module, const Parts& parts) {
  std::string source;
  for (const std::string& name : parts.templates) {
    Result<std::string> expanded = ExpandTemplate(embedded::torchscript::Find(name), values_, name);
    if (!expanded.ok()) {
      if (status_.ok()) status_ = expanded.status();
      return;
    }
    source += *expanded;
  }
  if (!source.empty() && status_.ok()) module.define(source);
}

Module Builder::LayerNorm(const std::string& path) {
  return Make({"LayerNorm",
               {"layer_norm.py"},
               path,
               {"weight", "bias"},
               {},
               {{"eps", c10::FloatType::get(), geometry_.vision_layer_norm_eps}}});
}

Module Builder::SiglipEncoderLayer(const std::string& path) {
  const std::string attention = path + ".self_attn";
  const std::string mlp = path + ".mlp";
  return Make({"SiglipEncoderLayer",
               {"siglip_encoder_layer.py"},
               path,
               {},
               {{"layer_norm1", LayerNorm(path + ".layer_norm1")},
                {"self_attn", Make({"SiglipAttention",
                                    {"siglip_attention.py"},
                                    attention,
                                    {},
                                    {{"k_proj", Linear(attention + ".k_proj")},
                                     {"v_proj", Linear(attention + ".v_proj")},
                                     {"q_proj", Linear(attention + ".q_proj")},
                                     {"out_proj", Linear(attention + ".out_proj")}},
                                    {{"num_heads", c10::IntType::get(), geometry_.vision_heads}}})},
                {"layer_norm2", LayerNorm(path + ".layer_norm2")},
                {"mlp", Make({"SiglipMLP",
                              {"siglip_mlp.py"},
                              mlp,
                              {},
                              {{"fc1", Linear(mlp + ".fc1")}, {"fc2", Linear(mlp + ".fc2")}},
                              {}})}},
               {}});
}

Module Builder::VisionTransformer(const std::string& path) {
  const std::string embeddings = path + ".embeddings";
  const std::string layers = path + ".encoder.layers.";
  const Module layer_list =
      ModuleList("SiglipEncoderLayers", geometry_.vision_depth,
                 [&](int64_t i) { return SiglipEncoderLayer(layers + std::to_string(i)); });
  return Make(
      {"SiglipVisionTransformer",
       {"siglip_vision_transformer.py"},
       path,
       {},
       {{"embeddings",
         Make({"SiglipVisionEmbeddings",
               {"siglip_vision_embeddings.py"},
               embeddings,
               {},
               {{"patch_embedding", Make({"Float32Conv2d",
                                          {"float32_conv2d.py"},
                                          embeddings + ".patch_embedding",
                                          {"weight", "bias"},
                                          {},
                                          {}})},
                {"position_embedding", Embedding(embeddings + ".position_embedding")}},
               {}})},
        {"encoder",
         Make({"SiglipEncoder", {"siglip_encoder.py"}, "", {}, {{"layers", layer_list}}, {}})},
        {"post_layernorm", LayerNorm(path + ".post_layernorm")}},
       {}});
}

Module Builder::RmsNorm(const std::string& path, bool adaptive) {
  const std::vector<Attribute> eps = {{"eps", c10::FloatType::get(), geometry_.rms_norm_eps}};
  if (!adaptive) return Make({"GemmaRMSNorm", {"gemma_rms_norm.py"}, path, {"weight"}, {}, eps});
  return Make({"GemmaAdaptiveRMSNorm",
               {"gemma_adaptive_rms_norm.py"},
               path,
               {},
               {{"dense", Float32Linear(path + ".dense")}},
               eps});
}

Module Builder::GemmaLayer(const std::string& path, bool adaptive) {
  const std::string attention = path + ".self_attn";
  const std::string mlp = path + ".mlp";
  return Make(
      {adaptive ? "GemmaAdaptiveDecoderLayer" : "GemmaDecoderLayer",
       {adaptive ? "gemma_adaptive_decoder_layer.py" : "gemma_decoder_layer.py"},
       path,
       {},
       {{"self_attn", Make({"GemmaAttention",
                            {"gemma_attention.py"},
                            attention,
                            {},
                            {{"q_proj", LinearWithoutBias(attention + ".q_proj")},
                             {"k_proj", LinearWithoutBias(attention + ".k_proj")},
                             {"v_proj", LinearWithoutBias(attention + ".v_proj")},
                             {"o_proj", LinearWithoutBias(attention + ".o_proj")}},
                            {{"head_dim", c10::IntType::get(), geometry_.head_dim}}})},
        {"mlp", Make({"GemmaMLP",
                      {"gemma_mlp.py"},
                      mlp,
                      {},
                      {{"gate_proj", LinearWithoutBias(mlp + ".gate_proj")},
                       {"up_proj", LinearWithoutBias(mlp + ".up_proj")},
                       {"down_proj", LinearWithoutBias(mlp + ".down_proj")}},
                      {}})},
        {"input_layernorm", RmsNorm(path + ".input_layernorm", adaptive)},
        {"post_attention_layernorm", RmsNorm(path + ".post_attention_layernorm", adaptive)}},
       {}});
}

Module Builder::GemmaLayers(const std::string& path, bool adaptive) {
  return ModuleList(
      adaptive ? "GemmaAdaptiveDecoderLayers" : "GemmaDecoderLayers", geometry_.depth,
      [&](int64_t i) { return GemmaLayer(path + ".layers." + std::to_string(i), adaptive); });
}

Module Builder::LanguageModel(const std::string& path) {
  return Make({"GemmaModel",
               {"gemma_model.py"},
               path,
               {},
               {{"embed_tokens", Embedding(path + ".embed_tokens")},
                {"layers", GemmaLayers(path, /*adaptive=*/false)},
                {"norm", RmsNorm(path + ".norm", /*adaptive=*/false)}},
               {}});
}

Module Builder::ExpertModel(const std::string& path) {
  const bool adaptive = geometry_.type == PolicyType::kPi05;
  return Make(
      {adaptive ? "GemmaAdaptiveModel" : "GemmaExpertModel",
       {adaptive ? "gemma_adaptive_model.py" : "gemma_model.py"},
       path,
       {},
       {{"layers", GemmaLayers(path, adaptive)}, {"norm", RmsNorm(path + ".norm", adaptive)}},
       {}});
}

Module Builder::Root() {
  const std::string both = "paligemma_with_expert";
  const std::string paligemma = both + ".paligemma.model";
  const std::string vision = paligemma + ".vision_tower.vision_model";
  const std::string projector = paligemma + ".multi_modal_projector";

  const Module paligemma_model =
      Container("PaliGemmaModel",
                {{"vision_tower",
                  Container("SiglipVisionModel", {{"vision_model", VisionTransformer(vision)}})},
                 {"multi_modal_projector", Make({"PaliGemmaMultiModalProjector",
                                                 {"paligemma_multi_modal_projector.py"},
                                                 projector,
                                                 {},
                                                 {{"linear", Linear(projector + ".linear")}},
                                                 {}})},
                 {"language_model", LanguageModel(paligemma + ".language_model")}});
  const Module expert =
      Container("GemmaForCausalLM", {{"model", ExpertModel(both + ".gemma_expert.model")}});
  std::vector<Child> children = {
      {both, Container("PaliGemmaWithExpertModel",
                       {{"paligemma", Container("PaliGemmaForConditionalGeneration",
                                                {{"model", paligemma_model}})},
                        {"gemma_expert", expert}})}};

  const bool is_pi0 = geometry_.type == PolicyType::kPi0;
  const std::vector<std::string> projections =
      is_pi0 ? std::vector<std::string>{"action_in_proj", "action_out_proj", "state_proj",
                                        "action_time_mlp_in", "action_time_mlp_out"}
             : std::vector<std::string>{"action_in_proj", "action_out_proj", "time_mlp_in",
                                        "time_mlp_out"};
  for (const std::string& name : projections) children.push_back({name, Float32Linear(name)});

  return Make({"PI0Pytorch",
               {"pi0_pytorch.py", is_pi0 ? "pi0.py" : "pi05.py"},
               "",
               {},
               std::move(children),
               {{"rope_inv_freq", c10::TensorType::get(), Tensor("rope_inv_freq")},
                {"min_period", c10::FloatType::get(), geometry_.min_period},
                {"max_period", c10::FloatType::get(), geometry_.max_period}}});
}

}  // namespace

Result<Module> BuildPolicyModule(const Geometry& geometry,
                                 const std::map<std::string, at::Tensor>& tensors) {
  try {
    Builder builder(geometry, tensors);
    Module root = builder.Root();
    VLASERVE_RETURN_IF_ERROR(builder.status());
    return root;
  } catch (const std::exception& error) {
    return TorchFailure(StatusCode::kInternal, "LibTorch refused the module", error);
  }
}

}  // namespace vlaserve
