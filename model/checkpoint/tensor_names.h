// Names of stored tensors: from the layouts in use to openpi's, and the type that they show
// (spec pi0.md §1.5, §1.7).
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "model/checkpoint/geometry.h"
#include "model/io/safetensors.h"
#include "model/io/status.h"

namespace vlaserve {

inline constexpr std::string_view kEmbeddingTensor =
    "paligemma_with_expert.paligemma.model.language_model.embed_tokens.weight";
inline constexpr std::string_view kLmHeadTensor = "paligemma_with_expert.paligemma.lm_head.weight";

// openpi's name of a tensor: without LeRobot's leading "model.", and with the module order of its
// first layout ("paligemma.language_model.model." …) put right. Other names come back unchanged.
std::string CanonicalTensorName(std::string_view stored);

// A stored tensor under its canonical name.
struct NamedTensor {
  std::string stored_name;
  TensorView view;
};
using NamedTensors = std::map<std::string, NamedTensor, std::less<>>;

// All tensors of a file by canonical name, statistics and buffers included. Errors (kUnreadable):
// two tensors with one canonical name; kUnsupported: LoRA tensors.
Result<NamedTensors> CanonicalTensors(const SafetensorsFile& file);

// π0 or π0.5, and by which tensor one can tell.
struct DetectedType {
  PolicyType type = PolicyType::kPi0;
  std::string evidence;
};

// Errors: kUnsupported for π0-FAST and models that are neither, kUnreadable for a π0 with some
// adaRMS tensors.
Result<DetectedType> DetectType(const NamedTensors& tensors, std::string_view origin);

// Leaves what the model of this type uses: resolves the embedding's two names, gives the action MLP
// of LeRobot's π0.5 its name, drops what is stored but never used (lm_heads, buffers, statistics;
// state_proj and plain expert norms in π0.5).
NamedTensors ModelTensors(NamedTensors tensors, PolicyType type);

// True for parameters that openpi keeps in float32 when it computes in bfloat16 (spec pi0.md §1.6):
// SigLIP's patch and position embeddings, all Gemma norms including the adaRMS dense layers, and
// everything outside `paligemma_with_expert`. `name` is the canonical name.
bool IsFloat32Island(std::string_view name);

}  // namespace vlaserve
