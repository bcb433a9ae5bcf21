// A π0 or π0.5 checkpoint directory, read: which tensors under which canonical names, and all
// sizes.
//
// Understood: openpi's PyTorch layout and LeRobot's three (spec pi0.md §1.5–1.7), one file or
// shards with an index. Refused by name, with what to do instead: JAX/orbax checkpoints, π0-FAST,
// LoRA.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/checkpoint/geometry.h"
#include "model/io/safetensors.h"
#include "model/io/status.h"
#include "model/settings/policy_settings.h"

namespace vlaserve {

enum class CheckpointLayout { kOpenpi, kLerobot };

struct Checkpoint {
  std::string directory;
  CheckpointLayout layout = CheckpointLayout::kOpenpi;
  SafetensorsFile file;
  Geometry geometry;
  // Tensors that the model uses, by canonical openpi name, with the embedding always as
  // "paligemma_with_expert.paligemma.model.language_model.embed_tokens.weight"; lm_heads are not in
  // here. Views into `file`.
  std::map<std::string, TensorView> tensors;
  // The settings to use, fitted to `geometry` (FitSettingsToModel): those given to OpenCheckpoint,
  // else what the checkpoint itself brings: policy.json beside it, else what LeRobot's config.json
  // and processor files say. Unset: the caller must name a policy.
  std::optional<PolicySettings> settings;
};

// Every tensor that a model of this geometry needs, with its shape, by canonical name; the order is
// the reference's named_parameters() order.
struct ExpectedTensor {
  std::string name;
  std::vector<int64_t> shape;
};
std::vector<ExpectedTensor> ExpectedTensors(const Geometry& geometry);

// Every nn.Linear of the reference in named_modules() order (openpi: vision k, v, q, out), both
// never-run lm_heads included.
struct LinearInfo {
  std::string name;
  int64_t in_features = 0;
  int64_t out_features = 0;
  bool bias = false;
  bool live = true;
};
std::vector<LinearInfo> ReferenceLinears(const Geometry& geometry);

// Reads and checks a checkpoint directory: type detection, renaming, all shapes and dtypes (F32,
// BF16, F16), all tensors present, none of the wrong type's, none unknown. Weights are not read:
// NaN and Inf are found by the exporter, which passes over every byte anyway.
//
// What tensors cannot tell comes from geometry.json, else config.json (openpi's or LeRobot's), else
// from the settings: horizon, prompt slots, SigLIP heads (else 16). `policy`, if given, is what the
// user named; where it says otherwise than the checkpoint, that is an error with both numbers
// (kInvalidArgument), except for the sizes of named policies (PolicySettings::checkpoint_wins).
//
// Errors name directory or file, tensor, expected and found: kNotFound without weights,
// kUnsupported for formats that are recognised and refused (with what to do instead), else
// kUnreadable.
Result<Checkpoint> OpenCheckpoint(FileSystem& files, const std::string& directory,
                                  const std::optional<PolicySettings>& policy);

}  // namespace vlaserve
