#include "model/checkpoint/geometry_json.h"

#include <utility>

#include <nlohmann/json.hpp>

#include "model/io/json.h"
#include "model/settings/json_object.h"
#include "model/settings/spellings.h"

namespace vlaserve {
namespace {

constexpr IntRange kLayers{1, kMaxLayers};
constexpr IntRange kDimension{1, kMaxDimension};
// Widths and vocabularies; the tensors that must have them are the real bound.
constexpr IntRange kSize{1, int64_t{1} << 31};

// A key whose value follows from others.
Status ExpectEqual(JsonObject& object, std::string_view key, int64_t expected,
                   std::string_view because) {
  VLASERVE_ASSIGN_OR_RETURN(const int64_t found, object.Int(key, kSize));
  if (found == expected) return Status::Ok();
  return object.Error(key, "expected " + std::to_string(expected) + " (" + std::string(because) +
                               "), found " + std::to_string(found));
}

Status ReadVision(JsonObject& vision, Geometry& geometry) {
  VLASERVE_ASSIGN_OR_RETURN(geometry.vision_width, vision.Int("hidden", kSize));
  VLASERVE_ASSIGN_OR_RETURN(geometry.vision_depth, vision.Int("layers", kLayers));
  VLASERVE_ASSIGN_OR_RETURN(geometry.vision_heads, vision.Int("heads", kSize));
  VLASERVE_ASSIGN_OR_RETURN(geometry.vision_mlp, vision.Int("intermediate", kSize));
  VLASERVE_ASSIGN_OR_RETURN(geometry.vision_layer_norm_eps,
                            vision.PositiveNumber("layer_norm_eps"));
  if (geometry.vision_width % geometry.vision_heads != 0) {
    return vision.Error("heads", "expected a divisor of hidden " +
                                     std::to_string(geometry.vision_width) + ", found " +
                                     std::to_string(geometry.vision_heads));
  }
  return ExpectEqual(vision, "head_dim", geometry.vision_width / geometry.vision_heads,
                     "hidden / heads");
}

Status ReadLlm(JsonObject& llm, Geometry& geometry) {
  VLASERVE_ASSIGN_OR_RETURN(geometry.llm_width, llm.Int("width", kSize));
  VLASERVE_ASSIGN_OR_RETURN(geometry.llm_mlp, llm.Int("mlp", kSize));
  VLASERVE_ASSIGN_OR_RETURN(geometry.depth, llm.Int("depth", kLayers));
  VLASERVE_ASSIGN_OR_RETURN(geometry.heads, llm.Int("heads", kSize));
  VLASERVE_ASSIGN_OR_RETURN(geometry.kv_heads, llm.Int("kv_heads", kSize));
  VLASERVE_ASSIGN_OR_RETURN(geometry.head_dim, llm.Int("head_dim", kSize));
  VLASERVE_ASSIGN_OR_RETURN(geometry.rms_norm_eps, llm.PositiveNumber("rms_norm_eps"));
  VLASERVE_ASSIGN_OR_RETURN(geometry.rope_theta, llm.PositiveNumber("rope_theta"));
  if (geometry.heads % geometry.kv_heads != 0) {
    return llm.Error("kv_heads", "expected a divisor of heads " + std::to_string(geometry.heads) +
                                     ", found " + std::to_string(geometry.kv_heads));
  }
  if (geometry.head_dim % 2 != 0) {
    return llm.Error("head_dim", "expected an even number (RoPE turns pairs), found " +
                                     std::to_string(geometry.head_dim));
  }
  return Status::Ok();
}

Status ReadExpert(JsonObject& expert, Geometry& geometry) {
  VLASERVE_ASSIGN_OR_RETURN(geometry.expert_width, expert.Int("width", kSize));
  VLASERVE_ASSIGN_OR_RETURN(geometry.expert_mlp, expert.Int("mlp", kSize));
  if (geometry.expert_width % 2 != 0) {
    return expert.Error("width", "expected an even number (sines and cosines of the time), found " +
                                     std::to_string(geometry.expert_width));
  }
  constexpr std::string_view kShared = "as llm has: the expert attends to the LLM's keys";
  VLASERVE_RETURN_IF_ERROR(ExpectEqual(expert, "depth", geometry.depth, kShared));
  VLASERVE_RETURN_IF_ERROR(ExpectEqual(expert, "heads", geometry.heads, kShared));
  VLASERVE_RETURN_IF_ERROR(ExpectEqual(expert, "kv_heads", geometry.kv_heads, kShared));
  return ExpectEqual(expert, "head_dim", geometry.head_dim, kShared);
}

}  // namespace

std::string GeometryToJson(const Geometry& geometry) {
  using nlohmann::ordered_json;
  ordered_json root;
  root["model_type"] = PolicyTypeName(geometry.type);
  root["action_dim"] = geometry.action_dim;
  root["action_horizon"] = geometry.horizon;
  root["max_token_len"] = geometry.prompt_slots;
  root["vocab_size"] = geometry.vocab_size;
  root["image_size"] = geometry.image_size;
  root["patch_size"] = geometry.patch_size;
  root["tokens_per_image"] = geometry.tokens_per_camera();
  root["vision"] = ordered_json{{"hidden", geometry.vision_width},
                                {"layers", geometry.vision_depth},
                                {"heads", geometry.vision_heads},
                                {"head_dim", geometry.vision_width / geometry.vision_heads},
                                {"intermediate", geometry.vision_mlp},
                                {"layer_norm_eps", geometry.vision_layer_norm_eps}};
  root["llm"] = ordered_json{{"width", geometry.llm_width},
                             {"depth", geometry.depth},
                             {"mlp", geometry.llm_mlp},
                             {"heads", geometry.heads},
                             {"kv_heads", geometry.kv_heads},
                             {"head_dim", geometry.head_dim},
                             {"rms_norm_eps", geometry.rms_norm_eps},
                             {"rope_theta", geometry.rope_theta}};
  root["expert"] = ordered_json{
      {"width", geometry.expert_width}, {"depth", geometry.depth},
      {"mlp", geometry.expert_mlp},     {"heads", geometry.heads},
      {"kv_heads", geometry.kv_heads},  {"head_dim", geometry.head_dim},
  };
  root["time_embedding"] = ordered_json{{"dim", geometry.expert_width},
                                        {"min_period", geometry.min_period},
                                        {"max_period", geometry.max_period}};
  return root.dump(2) + "\n";
}

Result<Geometry> ParseGeometry(std::string_view json_text, std::string_view origin) {
  VLASERVE_ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson(json_text, origin));
  VLASERVE_ASSIGN_OR_RETURN(JsonObject root,
                            JsonObject::Root(json, origin, StatusCode::kUnreadable));
  Geometry geometry;
  VLASERVE_ASSIGN_OR_RETURN(const std::string type_name, root.String("model_type"));
  const auto type = FromSpelling(kPolicyTypeSpellings, type_name);
  if (!type) {
    return root.Error("model_type", "expected " + SpellingList(kPolicyTypeSpellings) +
                                        ", found \"" + type_name + "\"");
  }
  geometry.type = *type;
  VLASERVE_ASSIGN_OR_RETURN(geometry.action_dim, root.Int("action_dim", kDimension));
  VLASERVE_ASSIGN_OR_RETURN(geometry.horizon, root.Int("action_horizon", kDimension));
  VLASERVE_ASSIGN_OR_RETURN(geometry.prompt_slots, root.Int("max_token_len", kDimension));
  VLASERVE_ASSIGN_OR_RETURN(geometry.vocab_size, root.Int("vocab_size", kSize));
  VLASERVE_ASSIGN_OR_RETURN(geometry.image_size, root.Int("image_size", kDimension));
  VLASERVE_ASSIGN_OR_RETURN(geometry.patch_size, root.Int("patch_size", kDimension));
  if (geometry.image_size < geometry.patch_size) {
    return root.Error("patch_size", "expected at most image_size " +
                                        std::to_string(geometry.image_size) + ", found " +
                                        std::to_string(geometry.patch_size));
  }
  VLASERVE_RETURN_IF_ERROR(ExpectEqual(root, "tokens_per_image", geometry.tokens_per_camera(),
                                       "image_size / patch_size, rounded down, squared"));
  VLASERVE_ASSIGN_OR_RETURN(JsonObject vision, root.Object("vision"));
  VLASERVE_RETURN_IF_ERROR(ReadVision(vision, geometry));
  VLASERVE_ASSIGN_OR_RETURN(JsonObject llm, root.Object("llm"));
  VLASERVE_RETURN_IF_ERROR(ReadLlm(llm, geometry));
  VLASERVE_ASSIGN_OR_RETURN(JsonObject expert, root.Object("expert"));
  VLASERVE_RETURN_IF_ERROR(ReadExpert(expert, geometry));
  VLASERVE_ASSIGN_OR_RETURN(JsonObject time, root.Object("time_embedding"));
  VLASERVE_RETURN_IF_ERROR(ExpectEqual(time, "dim", geometry.expert_width, "the expert's width"));
  VLASERVE_ASSIGN_OR_RETURN(geometry.min_period, time.PositiveNumber("min_period"));
  VLASERVE_ASSIGN_OR_RETURN(geometry.max_period, time.PositiveNumber("max_period"));
  return geometry;
}

}  // namespace vlaserve
