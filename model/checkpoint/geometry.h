// The sizes of a π0 or π0.5 model: everything that turns a set of tensors into a network.
//
// Almost all of it follows from tensor shapes (spec pi0.md §1). What shapes cannot tell (the number
// of SigLIP heads, the horizon, the prompt slots) comes from geometry.json or config.json beside
// the checkpoint, else from the policy settings.
#pragma once

#include <cstdint>
#include <string_view>

namespace vlaserve {

// Bounds of what files say where no tensor bounds it: layers of a stack; horizon, prompt slots,
// action dimensions and pixels a side of a picture, which cost memory at every request.
inline constexpr int64_t kMaxLayers = 4096;
inline constexpr int64_t kMaxDimension = 4096;

enum class PolicyType { kPi0, kPi05 };

// "pi0" / "pi05", the spelling of every file format and of the wire contract.
std::string_view PolicyTypeName(PolicyType type);

struct Geometry {
  PolicyType type = PolicyType::kPi0;

  // SigLIP vision tower. Pictures are image_size × image_size RGB; a camera gives
  // (image_size / patch_size)² tokens.
  int64_t image_size = 0;
  int64_t patch_size = 0;
  int64_t vision_width = 0;
  int64_t vision_depth = 0;
  int64_t vision_heads = 0;
  int64_t vision_mlp = 0;

  // LLM (Gemma) and action expert (Gemma; the "DiT"). Heads, KV heads and head size are shared: the
  // expert attends to the LLM's keys and values.
  int64_t llm_width = 0;
  int64_t llm_mlp = 0;
  int64_t expert_width = 0;
  int64_t expert_mlp = 0;
  int64_t depth = 0;  // of both stacks
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t vocab_size = 0;

  // Interface sizes in model space.
  int64_t action_dim = 0;    // padded width of states and actions (32 in all released models)
  int64_t horizon = 0;       // rows of an action chunk
  int64_t prompt_slots = 0;  // token slots of the padded prompt (48 for π0, 200 for π0.5)

  double vision_layer_norm_eps = 1e-6;
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000.0;
  double min_period = 0.004;  // of the sinusoidal time embedding, in units of flow time
  double max_period = 4.0;

  int64_t tokens_per_camera() const {
    const int64_t side = image_size / patch_size;
    return side * side;
  }

  bool operator==(const Geometry&) const = default;
};

}  // namespace vlaserve
