#include "model/checkpoint/tensor_names.h"

#include <algorithm>
#include <array>
#include <utility>

namespace vlaserve {
namespace {

constexpr std::string_view kModelPrefix = "model.";
constexpr std::string_view kPaligemma = "paligemma_with_expert.paligemma.";
constexpr std::string_view kExpertModel = "paligemma_with_expert.gemma_expert.model.";
constexpr std::string_view kActionTimeMlp = "action_time_mlp_";
constexpr std::string_view kTimeMlp = "time_mlp_";

// What may follow LeRobot's "model.".
constexpr std::array<std::string_view, 9> kRoots = {
    "paligemma_with_expert.", "action_in_proj.",      "action_out_proj.", "state_proj.",
    "action_time_mlp_in.",    "action_time_mlp_out.", "time_mlp_in.",     "time_mlp_out.",
    "proprio_history_proj."};

struct Renaming {
  std::string_view from;
  std::string_view to;
};
// Below kPaligemma, LeRobot's first layout.
constexpr std::array<Renaming, 4> kFirstLayout = {{
    {"language_model.model.", "model.language_model."},
    {"language_model.lm_head.", "lm_head."},
    {"vision_tower.", "model.vision_tower."},
    {"multi_modal_projector.", "model.multi_modal_projector."},
}};

bool IsAdaRms(std::string_view name) {
  return name.starts_with(kExpertModel) && name.find(".dense.") != std::string_view::npos;
}

bool IsPlainExpertNorm(std::string_view name) {
  return name.starts_with(kExpertModel) &&
         (name.ends_with(".input_layernorm.weight") ||
          name.ends_with(".post_attention_layernorm.weight") || name.ends_with(".norm.weight"));
}

bool IsLora(std::string_view name) {
  return name.find(".lora_") != std::string_view::npos || name.starts_with("base_model.");
}

// Stored by some writer, never used by any model of ours.
bool IsIgnored(std::string_view name) {
  return name.ends_with("lm_head.weight") || name.ends_with(".rotary_emb.inv_freq") ||
         name.ends_with(".embeddings.position_ids") || name.starts_with("normalize_inputs.") ||
         name.starts_with("normalize_targets.") || name.starts_with("unnormalize_outputs.") ||
         name.starts_with("proprio_history_proj.");
}

}  // namespace

std::string CanonicalTensorName(std::string_view stored) {
  std::string_view name = stored;
  if (name.starts_with(kModelPrefix)) {
    const std::string_view rest = name.substr(kModelPrefix.size());
    if (std::any_of(kRoots.begin(), kRoots.end(),
                    [rest](std::string_view root) { return rest.starts_with(root); })) {
      name = rest;
    }
  }
  if (name.starts_with(kPaligemma)) {
    const std::string_view rest = name.substr(kPaligemma.size());
    for (const Renaming& renaming : kFirstLayout) {
      if (!rest.starts_with(renaming.from)) continue;
      std::string canonical(kPaligemma);
      canonical += renaming.to;
      canonical += rest.substr(renaming.from.size());
      return canonical;
    }
  }
  return std::string(name);
}

Result<NamedTensors> CanonicalTensors(const SafetensorsFile& file) {
  NamedTensors tensors;
  for (const auto& [stored, view] : file.tensors()) {
    if (IsLora(stored)) {
      return Status(StatusCode::kUnsupported,
                    file.path() + ": tensor " + stored +
                        " belongs to a LoRA adapter; merge the adapter into the base weights "
                        "(PEFT's merge_and_unload) and export the merged model");
    }
    std::string name = CanonicalTensorName(stored);
    const auto [position, inserted] = tensors.try_emplace(name, NamedTensor{stored, view});
    if (!inserted) {
      return Status(StatusCode::kUnreadable, file.path() + ": tensors " +
                                                 position->second.stored_name + " and " + stored +
                                                 " are both " + name + ", expected only one");
    }
  }
  return tensors;
}

Result<DetectedType> DetectType(const NamedTensors& tensors, std::string_view origin) {
  const auto ada_rms = std::find_if(tensors.begin(), tensors.end(),
                                    [](const auto& entry) { return IsAdaRms(entry.first); });
  const bool has_time_mlp = tensors.contains("time_mlp_in.weight");
  const bool has_pi0_head =
      tensors.contains("state_proj.weight") && tensors.contains("action_time_mlp_in.weight");
  if (has_time_mlp) return DetectedType{PolicyType::kPi05, "time_mlp_in.weight"};
  if (ada_rms != tensors.end()) {
    // LeRobot's π0.5 may name its time MLP like π0's; then no plain final norm says π0.
    const std::string plain_norm = std::string(kExpertModel) + "norm.weight";
    const std::string ada_rms_norm = std::string(kExpertModel) + "norm.dense.weight";
    if (has_pi0_head && tensors.contains(plain_norm) && !tensors.contains(ada_rms_norm)) {
      return Status(StatusCode::kUnreadable,
                    std::string(origin) + ": tensor " + ada_rms->second.stored_name +
                        " (adaRMS) exists only in pi05, but state_proj.weight and " + plain_norm +
                        " make this a pi0");
    }
    return DetectedType{PolicyType::kPi05, ada_rms->second.stored_name};
  }
  if (has_pi0_head) return DetectedType{PolicyType::kPi0, "state_proj.weight"};
  const bool has_expert = std::any_of(tensors.begin(), tensors.end(), [](const auto& entry) {
    return entry.first.starts_with("paligemma_with_expert.gemma_expert.");
  });
  if (!has_expert) {
    return Status(StatusCode::kUnsupported,
                  std::string(origin) +
                      ": there is no action expert (no tensor "
                      "paligemma_with_expert.gemma_expert.…): this may be a π0-FAST or a plain "
                      "PaliGemma checkpoint; only π0 and π0.5 are supported");
  }
  return Status(StatusCode::kUnreadable,
                std::string(origin) +
                    ": neither pi0 nor pi05: there is no state_proj.weight with "
                    "action_time_mlp_in.weight, no time_mlp_in.weight and no adaRMS tensor");
}

NamedTensors ModelTensors(NamedTensors tensors, PolicyType type) {
  if (const auto head = tensors.find(kLmHeadTensor);
      head != tensors.end() && !tensors.contains(kEmbeddingTensor)) {
    tensors.emplace(kEmbeddingTensor, head->second);
  }
  if (type == PolicyType::kPi05) {
    const bool rename = !tensors.contains("time_mlp_in.weight");
    NamedTensors pi05;
    for (auto& [name, tensor] : tensors) {
      if (IsPlainExpertNorm(name) || name.starts_with("state_proj.")) continue;
      if (rename && name.starts_with(kActionTimeMlp)) {
        std::string renamed(kTimeMlp);
        renamed += name.substr(kActionTimeMlp.size());
        pi05.emplace(std::move(renamed), std::move(tensor));
      } else {
        pi05.emplace(name, std::move(tensor));
      }
    }
    tensors = std::move(pi05);
  }
  std::erase_if(tensors, [](const auto& entry) { return IsIgnored(entry.first); });
  return tensors;
}

bool IsFloat32Island(std::string_view name) {
  if (!name.starts_with("paligemma_with_expert.")) return true;
  // openpi's own rule: parameters whose names contain one of these (gemma_pytorch.py,
  // `to_bfloat16_for_selected_params`). "model.norm" is both stacks' final norm.
  for (const std::string_view part :
       {"vision_tower.vision_model.embeddings.patch_embedding.",
        "vision_tower.vision_model.embeddings.position_embedding.", "input_layernorm",
        "post_attention_layernorm", "model.norm"}) {
    if (name.find(part) != std::string_view::npos) return true;
  }
  return false;
}

}  // namespace vlaserve
