// Policy settings: what a server must know about a policy beyond its tensors (policy.json).
//
// The file format is described in model/settings/POLICY_SETTINGS.md. The named policies
// (pi0_libero, pi05_libero, pi05_libero_with_state_prompt) are files of this format in
// configs/policies/, embedded into the program at build time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/checkpoint/geometry.h"
#include "model/io/status.h"

namespace vlaserve {

// How state and actions are normalised (spec pi0.md §3.3, §3.6).
enum class Normalization {
  kZScore,   // (x - mean) / (std + eps)
  kQuantile  // (x - q01) / (q99 - q01 + eps) * 2 - 1
};

// Whose details of the same transforms: openpi and LeRobot differ in epsilons (spec pi0.md §3.6).
enum class Convention { kOpenpi, kLerobot };

// How the prompt is turned into text and tokens (spec pi0.md §3.5, §3.6).
enum class PromptFormat {
  kPi0,        // BOS + cleaned prompt, then "\n" tokenised on its own
  kPi05State,  // "Task: {cleaned}, State: {digits};\nAction: " with BOS
  kLerobotPi0  // prompt + "\n" if absent, not cleaned, tokenised jointly with BOS
};

// How pictures reach the model's square (spec pi0.md §2.2).
enum class ResizeMethod {
  kPillowBilinearWithPad,  // antialiased, uint8, black bars; openpi
  kTorchBilinearWithPad    // not antialiased, float, black bars; LeRobot
};

// The sequence of times at which the velocity is evaluated (spec pi0.md §2.9).
enum class TimeSteps { kOpenpi, kLerobot };

// The RoPE frequencies (spec pi0.md §2.5): as computed, which the weights were trained with, or
// rounded to bfloat16, which openpi's PyTorch policy runs with.
enum class RopeInvFreq { kExact, kBf16Rounded };

// One image slot of the model, in prefix order.
struct Camera {
  std::string slot;  // the model's name: "base_0_rgb"
  // The name under which a request carries the picture ("image"); unset: the slot is always empty
  // (black and masked).
  std::optional<std::string> name;
  // The key of openpi clients and recorded observations, "observation/image"; informative.
  std::optional<std::string> observation_key;
  // An observation without this picture is accepted; the slot is then empty for this request.
  bool optional = false;

  bool operator==(const Camera&) const = default;
};

struct PolicySettings {
  std::string name;
  PolicyType type = PolicyType::kPi0;
  // Unset: the checkpoint must say. Set and different from the checkpoint: an error.
  std::optional<int64_t> horizon;
  std::optional<int64_t> prompt_slots;
  std::optional<int64_t> action_dim;
  std::optional<int64_t> image_size;
  std::optional<int64_t> patch_size;
  // SigLIP heads, for a checkpoint whose own files do not say; unset there too: 16.
  std::optional<int64_t> vision_heads;
  // The sizes above are those of a released checkpoint and yield to what a checkpoint says about
  // itself. True for named policies; not part of the file format.
  bool checkpoint_wins = false;
  int64_t num_steps = 10;         // default number of denoise steps, 1..100
  int64_t state_dim = 0;          // length of the raw robot state in a request
  int64_t output_action_dim = 0;  // columns of the action chunk that a client gets
  std::string asset_id;           // folder of norm_stats.json below <checkpoint>/assets; may be ""
  Normalization normalization = Normalization::kZScore;
  Convention convention = Convention::kOpenpi;
  // Per output dimension: true where the model predicts an offset to the raw state, added back
  // after un-normalisation. Empty: all actions are absolute.
  std::vector<bool> delta_action_mask;
  std::vector<Camera> cameras;
  ResizeMethod resize = ResizeMethod::kPillowBilinearWithPad;
  PromptFormat prompt_format = PromptFormat::kPi0;
  std::optional<std::string> default_prompt;
  TimeSteps time_steps = TimeSteps::kOpenpi;
  // What the policy should run with unless the operator says otherwise; unset: kExact.
  std::optional<RopeInvFreq> rope_inv_freq;
  // Free-form notes for clients (simulator, rotation, replan steps …): the text of a JSON object,
  // "{}" if none; carried through the archive and reported by GetServerInfo, never interpreted.
  std::string client_json = "{}";

  // The prompt contains the normalised state as text, so the state influences the tokens.
  bool state_in_prompt() const { return prompt_format == PromptFormat::kPi05State; }

  bool operator==(const PolicySettings&) const = default;
};

// Reads settings from JSON text. `origin` names the file in messages. Errors (kInvalidArgument)
// name the file, the JSON pointer of the key and what was expected; unknown and duplicate keys are
// errors.
Result<PolicySettings> ParsePolicySettings(std::string_view json_text, std::string_view origin);

// The inverse; stable key order, ends with a newline. ParsePolicySettings(ToJson(s)) == s.
std::string PolicySettingsToJson(const PolicySettings& settings);

// Checks settings against the model they are to be used with (type, horizon, prompt slots, sizes,
// state and action dimensions) and returns them with every size filled in from the model. With
// `checkpoint_wins`, horizon, prompt slots and the other sizes of the model replace those of the
// settings instead of having to agree. `origin` names the settings in messages. Errors:
// kInvalidArgument naming key, value and the model's value.
Result<PolicySettings> FitSettingsToModel(const PolicySettings& settings, const Geometry& geometry,
                                          std::string_view origin);

// One of the embedded named policies; kInvalidArgument listing the names if there is none such.
Result<PolicySettings> NamedPolicySettings(std::string_view name);
std::vector<std::string> NamedPolicies();

}  // namespace vlaserve
