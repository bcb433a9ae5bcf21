// Policy: an archive made ready to answer observations with action chunks.
//
// This header is free of LibTorch, so that the server can include it next to gRPC. All shapes are
// row-major.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/checkpoint/geometry.h"
#include "model/io/status.h"
#include "model/settings/policy_settings.h"
#include "model/transforms/image.h"

namespace vlaserve {

// What a robot saw, before any transform.
struct Observation {
  std::map<std::string, RgbImage> images;  // by camera name of the policy (Camera::name)
  std::vector<double> state;               // raw, in the units the policy was trained with
  std::optional<std::string> prompt;       // unset: the policy's default prompt
};

struct InferOptions {
  // Noise comes from `noise` if not empty (horizon × action_dim values in model space), else from
  // `seed`, else from a seed drawn by the caller of Infer; both at once are an error.
  std::optional<uint64_t> seed = std::nullopt;
  std::vector<float> noise = {};
  std::optional<int64_t> num_steps = std::nullopt;  // 1..100; unset: the policy's default
};

// Wall-clock time of the stages, milliseconds.
struct InferTimings {
  double preprocess_ms = 0;   // resize, normalise, tokenise
  double prefix_ms = 0;       // vision and prefix keys/values
  double denoise_ms = 0;      // all denoise steps
  double postprocess_ms = 0;  // un-normalise, delta to absolute
};

struct ActionChunk {
  std::vector<double> actions;  // [horizon, action_dim]
  int64_t horizon = 0;
  int64_t action_dim = 0;
  uint64_t seed = 0;  // the seed used; 0 when explicit noise was given
  bool prompt_truncated = false;
  InferTimings timings;
};

// Exact savings of DESIGN §6. Each leaves the actions unchanged up to float summation order; they
// are switches so that a test can show it.
struct ExactSavings {
  bool drop_masked = true;         // masked cameras and padded prompt slots never enter the model
  bool last_layer_kv_only = true;  // the last prefix layer computes only its keys and values
  bool state_token_once = true;    // π0: keys/values of the state token computed once per chunk
  bool step_table = true;          // what depends only on the step is computed at load
};

enum class ComputeDtype { kFloat32, kBfloat16 };

// Told which denoise step is computed next, from 0; 0 also before the prefix.
using DenoiseStepListener = std::function<void(int64_t step)>;

struct PolicyOptions {
  ComputeDtype compute_dtype = ComputeDtype::kFloat32;
  // Unset: as the policy settings say; where they do not, the exact frequencies.
  std::optional<RopeInvFreq> rope_inv_freq = std::nullopt;
  // Unset: as the policy settings say.
  std::optional<TimeSteps> time_steps = std::nullopt;
  // Of requests that do not say; unset: as the policy settings say.
  std::optional<int64_t> num_steps = std::nullopt;
  ExactSavings savings = {};
  DenoiseStepListener on_denoise_step = {};  // may be empty; called on the thread of Infer
};

// Called between stages and denoise steps; a failure ends the inference with that Status.
using InterruptCheck = std::function<Status()>;

// What can be asked of a loaded policy; the server depends on this interface only, so that its
// tests run without LibTorch.
//
// Thread-safety: Infer must be called by one thread at a time, always the same one (LibTorch keeps
// per-thread state); the const accessors may be called from any thread.
class Policy {
 public:
  virtual ~Policy() = default;

  virtual const PolicySettings& settings() const = 0;
  virtual const Geometry& geometry() const = 0;

  // Checks an observation and the options without running anything: camera names, picture sizes,
  // state length and finiteness, prompt presence and size, noise length, step count. Any thread.
  // Errors: kInvalidArgument with Status::field() in the words of InferRequest ("state",
  // "images[image]", "prompt", "noise", "num_steps").
  virtual Status Validate(const Observation& observation, const InferOptions& options) const = 0;

  // Observation to action chunk. Includes Validate. Errors: those of Validate, those of
  // `interrupt`, kInternal when the result is not finite (no payload is ever returned then).
  virtual Result<ActionChunk> Infer(const Observation& observation, const InferOptions& options,
                                    const InterruptCheck& interrupt) = 0;

  // Touches every weight once and runs vision on one camera, a one-token prefix and one denoise
  // step, so that the first request is not slower than the rest. Same thread as Infer.
  virtual Status WarmUp() = 0;
};

}  // namespace vlaserve
