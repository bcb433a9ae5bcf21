#include "model/checkpoint/derive_geometry.h"

#include <charconv>
#include <set>
#include <utility>
#include <vector>

#include "model/checkpoint/checkpoint.h"

namespace vlaserve {
namespace {

constexpr int64_t kDefaultVisionHeads = 16;
constexpr std::string_view kVision =
    "paligemma_with_expert.paligemma.model.vision_tower.vision_model.";
constexpr std::string_view kLlm = "paligemma_with_expert.paligemma.model.language_model.";
constexpr std::string_view kExpert = "paligemma_with_expert.gemma_expert.model.";

// Reads sizes off shapes and remembers the first failure, so that a row of sizes reads as a table.
class ShapeReader {
 public:
  ShapeReader(const NamedTensors& tensors, const std::optional<Geometry>& declared,
              std::string geometry_path, std::string_view origin)
      : tensors_(tensors),
        declared_(declared),
        geometry_path_(std::move(geometry_path)),
        origin_(origin) {}

  // Dimension `axis` of a tensor of rank `rank`, which must be `declared_size` where geometry.json
  // exists.
  int64_t Read(std::string_view prefix, std::string_view tensor, size_t rank, size_t axis,
               int64_t Geometry::*size) {
    if (!status_.ok()) return 0;
    const std::string name = std::string(prefix) + std::string(tensor);
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) {
      Fail("tensor " + name + " is missing");
      return 0;
    }
    const std::vector<int64_t>& shape = found->second.view.shape;
    if (shape.size() != rank || shape[axis] < 1) {
      Fail("tensor " + found->second.stored_name + ": expected " + std::to_string(rank) +
           " dimensions of at least 1, found shape " + ShapeToString(shape));
      return 0;
    }
    if (declared_ && size != nullptr && (*declared_).*size != shape[axis]) {
      Fail("tensor " + found->second.stored_name + " has shape " + ShapeToString(shape) + ", but " +
           geometry_path_ + " says that dimension " + std::to_string(axis) + " is " +
           std::to_string((*declared_).*size));
    }
    return shape[axis];
  }

  void Fail(const std::string& problem) {
    if (status_.ok()) status_ = {StatusCode::kUnreadable, std::string(origin_) + ": " + problem};
  }

  const Status& status() const { return status_; }

 private:
  const NamedTensors& tensors_;
  const std::optional<Geometry>& declared_;
  std::string geometry_path_;
  std::string_view origin_;
  Status status_;
};

// Number of layers: one more than the largest index after `prefix`.
int64_t CountLayers(const NamedTensors& tensors, std::string_view prefix) {
  int64_t count = 0;
  for (auto it = tensors.lower_bound(prefix); it != tensors.end(); ++it) {
    const std::string_view name = it->first;
    if (!name.starts_with(prefix)) break;
    int64_t index = 0;
    const std::string_view digits = name.substr(prefix.size());
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
    if (error == std::errc() && end != digits.data() + digits.size() && *end == '.' &&
        index < kMaxLayers) {
      count = std::max(count, index + 1);
    }
  }
  return count;
}

int64_t SquareRoot(int64_t square) {
  int64_t root = 0;
  while ((root + 1) * (root + 1) <= square) ++root;
  return root;
}

void DeriveVision(ShapeReader& shapes, const NamedTensors& tensors, const DeclaredSizes& declared,
                  Geometry& g) {
  constexpr std::string_view kPatch = "embeddings.patch_embedding.weight";
  g.vision_width = shapes.Read(kVision, kPatch, 4, 0, &Geometry::vision_width);
  g.patch_size = shapes.Read(kVision, kPatch, 4, 2, &Geometry::patch_size);
  g.vision_mlp =
      shapes.Read(kVision, "encoder.layers.0.mlp.fc1.weight", 2, 0, &Geometry::vision_mlp);
  const int64_t tokens =
      shapes.Read(kVision, "embeddings.position_embedding.weight", 2, 0, nullptr);
  g.vision_depth = CountLayers(tensors, std::string(kVision) + "encoder.layers.");
  if (!shapes.status().ok()) return;
  const int64_t side = SquareRoot(tokens);
  if (side * side != tokens) {
    shapes.Fail("tensor " + std::string(kVision) +
                "embeddings.position_embedding.weight: expected a square number of rows, found " +
                std::to_string(tokens));
    return;
  }
  g.image_size = side * g.patch_size;
  // A picture may be larger than its whole patches; only the files can tell.
  for (const std::optional<int64_t> said :
       {declared.geometry ? std::optional(declared.geometry->image_size) : std::nullopt,
        declared.image_size}) {
    if (!said) continue;
    if (*said / g.patch_size != side) {
      shapes.Fail("pictures of " + std::to_string(*said) + " pixels (" +
                  (declared.geometry ? declared.geometry_path : declared.config_path) +
                  ") do not give the " + std::to_string(side) + " x " + std::to_string(side) +
                  " patches of " + std::to_string(g.patch_size) +
                  " pixels that the position embedding has");
      return;
    }
    g.image_size = *said;
  }
}

void DeriveHeads(ShapeReader& shapes, const DeclaredSizes& declared, Geometry& g) {
  const int64_t q_rows = shapes.Read(kLlm, "layers.0.self_attn.q_proj.weight", 2, 0, nullptr);
  const int64_t k_rows = shapes.Read(kLlm, "layers.0.self_attn.k_proj.weight", 2, 0, nullptr);
  if (!shapes.status().ok()) return;
  if (declared.geometry) {
    g.heads = declared.geometry->heads;
    g.kv_heads = declared.geometry->kv_heads;
    g.head_dim = declared.geometry->head_dim;
    return;
  }
  g.kv_heads = 1;
  g.head_dim = k_rows;
  g.heads = q_rows / k_rows;
  if (q_rows % k_rows != 0 || g.head_dim % 2 != 0) {
    shapes.Fail("tensors of " + std::string(kLlm) + "layers.0.self_attn: q_proj has " +
                std::to_string(q_rows) + " and k_proj " + std::to_string(k_rows) +
                " rows; expected an even number for one head that divides those of q_proj, or a "
                "geometry.json that states heads, kv_heads and head_dim");
  }
}

Status DeriveVisionHeads(const DeclaredSizes& declared, const PolicySettings* policy,
                         std::string_view origin, Geometry& g) {
  std::string source = "the default, as in all released models";
  g.vision_heads = kDefaultVisionHeads;
  if (declared.geometry) {
    g.vision_heads = declared.geometry->vision_heads;
    source = declared.geometry_path;
  } else if (policy != nullptr && policy->vision_heads) {
    g.vision_heads = *policy->vision_heads;
    source = "the policy settings";
  }
  if (g.vision_width % g.vision_heads == 0) return Status::Ok();
  return {StatusCode::kInvalidArgument,
          std::string(origin) + ": the vision width " + std::to_string(g.vision_width) +
              " does not divide by " + std::to_string(g.vision_heads) + " SigLIP heads (" + source +
              "); state the number in geometry.json or as vision_heads in the policy settings"};
}

// Of what no tensor tells: geometry.json, else config.json, else the settings.
Result<int64_t> Choose(std::optional<int64_t> geometry, std::optional<int64_t> config,
                       std::optional<int64_t> policy, std::string_view what, std::string_view keys,
                       std::string_view origin) {
  if (geometry) return *geometry;
  if (config) return *config;
  if (policy) return *policy;
  return Status(StatusCode::kInvalidArgument,
                std::string(origin) + ": tensors do not tell " + std::string(what) +
                    ", and neither geometry.json nor config.json beside them nor the policy "
                    "settings do; name a policy, or set " +
                    std::string(keys));
}

void CheckDeclaredDepths(ShapeReader& shapes, const NamedTensors& tensors,
                         const DeclaredSizes& declared, const Geometry& g) {
  const int64_t expert_depth = CountLayers(tensors, std::string(kExpert) + "layers.");
  if (expert_depth != g.depth) {
    shapes.Fail("the LLM has " + std::to_string(g.depth) + " layers and the action expert " +
                std::to_string(expert_depth) + ", expected as many");
  }
  if (!declared.geometry) return;
  if (declared.geometry->depth != g.depth) {
    shapes.Fail("the LLM has " + std::to_string(g.depth) + " layers, but " +
                declared.geometry_path + " says " + std::to_string(declared.geometry->depth));
  }
  if (declared.geometry->vision_depth != g.vision_depth) {
    shapes.Fail("the vision tower has " + std::to_string(g.vision_depth) + " layers, but " +
                declared.geometry_path + " says " +
                std::to_string(declared.geometry->vision_depth));
  }
}

}  // namespace

Result<Geometry> DeriveGeometry(const NamedTensors& tensors, PolicyType type,
                                const DeclaredSizes& declared, const PolicySettings* policy,
                                std::string_view origin) {
  Geometry g;
  g.type = type;
  ShapeReader shapes(tensors, declared.geometry, declared.geometry_path, origin);
  DeriveVision(shapes, tensors, declared, g);
  g.vocab_size = shapes.Read(kEmbeddingTensor, "", 2, 0, &Geometry::vocab_size);
  g.llm_width = shapes.Read(kEmbeddingTensor, "", 2, 1, &Geometry::llm_width);
  g.llm_mlp = shapes.Read(kLlm, "layers.0.mlp.gate_proj.weight", 2, 0, &Geometry::llm_mlp);
  g.expert_width = shapes.Read("action_in_proj.weight", "", 2, 0, &Geometry::expert_width);
  g.action_dim = shapes.Read("action_in_proj.weight", "", 2, 1, &Geometry::action_dim);
  g.expert_mlp = shapes.Read(kExpert, "layers.0.mlp.gate_proj.weight", 2, 0, &Geometry::expert_mlp);
  g.depth = CountLayers(tensors, std::string(kLlm) + "layers.");
  DeriveHeads(shapes, declared, g);
  CheckDeclaredDepths(shapes, tensors, declared, g);
  if (declared.action_dim && shapes.status().ok() && *declared.action_dim != g.action_dim) {
    shapes.Fail("action_in_proj.weight takes " + std::to_string(g.action_dim) +
                " action dimensions, but " + declared.config_path + " says " +
                std::to_string(*declared.action_dim));
  }
  if (g.expert_width % 2 != 0) {
    shapes.Fail("action_in_proj.weight has " + std::to_string(g.expert_width) +
                " rows, expected an even number (sines and cosines of the time)");
  }
  VLASERVE_RETURN_IF_ERROR(shapes.status());
  VLASERVE_RETURN_IF_ERROR(DeriveVisionHeads(declared, policy, origin, g));
  const std::optional<Geometry>& geometry = declared.geometry;
  const auto said = [&geometry](int64_t Geometry::*size) {
    return geometry ? std::optional((*geometry).*size) : std::nullopt;
  };
  VLASERVE_ASSIGN_OR_RETURN(
      g.horizon, Choose(said(&Geometry::horizon), declared.horizon,
                        policy == nullptr ? std::nullopt : policy->horizon, "the action horizon",
                        "action_horizon in the policy settings", origin));
  VLASERVE_ASSIGN_OR_RETURN(
      g.prompt_slots,
      Choose(said(&Geometry::prompt_slots), declared.prompt_slots,
             policy == nullptr ? std::nullopt : policy->prompt_slots, "the number of prompt slots",
             "max_token_len in the policy settings (48 in released π0, 200 in π0.5 models)",
             origin));
  if (geometry) {
    g.vision_layer_norm_eps = geometry->vision_layer_norm_eps;
    g.rms_norm_eps = geometry->rms_norm_eps;
    g.rope_theta = geometry->rope_theta;
    g.min_period = geometry->min_period;
    g.max_period = geometry->max_period;
  } else {
    g.min_period = declared.min_period.value_or(g.min_period);
    g.max_period = declared.max_period.value_or(g.max_period);
  }
  return g;
}

Status CheckTensors(const NamedTensors& tensors, const Geometry& geometry,
                    std::string_view origin) {
  const std::string type(PolicyTypeName(geometry.type));
  std::set<std::string_view> known;
  const std::vector<ExpectedTensor> expected_tensors = ExpectedTensors(geometry);
  std::vector<std::string_view> missing;
  for (const ExpectedTensor& expected : expected_tensors) {
    known.insert(expected.name);
    const auto found = tensors.find(expected.name);
    if (found == tensors.end()) {
      missing.push_back(expected.name);
      continue;
    }
    const TensorView& view = found->second.view;
    if (view.shape != expected.shape) {
      return {StatusCode::kUnreadable,
              std::string(origin) + ": tensor " + found->second.stored_name + ": expected shape " +
                  ShapeToString(expected.shape) + ", found " + ShapeToString(view.shape)};
    }
    if (view.dtype != DType::kF32 && view.dtype != DType::kBF16 && view.dtype != DType::kF16) {
      return {StatusCode::kUnreadable,
              std::string(origin) + ": tensor " + found->second.stored_name +
                  ": expected F32, BF16 or F16, found " + std::string(DTypeName(view.dtype))};
    }
  }
  if (!missing.empty()) {
    std::string message = std::string(origin) + ": tensor " + std::string(missing[0]) +
                          " is missing, which a " + type + " model needs";
    if (missing.size() > 1) {
      message += " (and " + std::to_string(missing.size() - 1) + " others)";
    }
    return {StatusCode::kUnreadable, message};
  }
  for (const auto& [name, tensor] : tensors) {
    if (known.contains(name)) continue;
    return {StatusCode::kUnreadable, std::string(origin) + ": tensor " + tensor.stored_name +
                                         " is not part of a " + type + " model"};
  }
  return Status::Ok();
}

}  // namespace vlaserve
