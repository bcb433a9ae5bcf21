// The model of an archive, run stage by stage: model inputs to an action chunk in model space.
//
// Orchestrates the staged methods of model/archive/FORMAT.md: vision and prefix once, then one call
// per denoise step with the Euler update in float32 (spec pi0.md §2.9). Free of LibTorch headers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/archive/archive.h"
#include "model/io/status.h"
#include "model/policy/load.h"
#include "model/policy/policy.h"
#include "model/policy/run_options.h"

namespace vlaserve {

// One camera slot, in prefix order.
struct CameraInput {
  bool valid = false;
  // [3, image_size, image_size] in [-1, 1]; empty: a black picture. A picture in a slot that is not
  // valid has no influence on the result (exactly none: its tokens get no attention weight).
  std::vector<float> pixels;
};

struct ModelInput {
  std::vector<CameraInput> cameras;
  std::vector<int64_t> tokens;      // one per prompt slot
  std::vector<uint8_t> token_mask;  // as many; 0 where the slot is padding
  std::vector<float> state;         // [action_dim], normalised and padded; not used by π0.5
  std::vector<float> noise;         // [horizon, action_dim]: x at t = 1
  int64_t num_steps = 10;
};

struct ModelTimings {
  double prefix_ms = 0;   // vision and prefix keys/values
  double denoise_ms = 0;  // all denoise steps
};

// A tensor that left LibTorch, row-major, as float32.
struct NamedArray {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> values;
};

// Thread-safety: one thread at a time, always the same one.
class Pi0Model {
 public:
  // Converts the archive's weights (LoadWeights) and computes the step table for the default number
  // of steps. Errors: those of LoadWeights.
  static Result<std::unique_ptr<Pi0Model>> Create(std::unique_ptr<Archive> archive,
                                                  const RunOptions& options);
  ~Pi0Model();

  const Archive& archive() const;
  const RunOptions& options() const;
  const LoadSummary& load_summary() const;

  // Returns [horizon, action_dim] as the model computes it: not checked for NaN. `interrupt` (may
  // be empty) is called before every stage and denoise step; `timings` may be null. Errors:
  // kInvalidArgument for inputs whose sizes do not fit the geometry or each other, tokens outside
  // the vocabulary, or a prefix without a single valid token; what `interrupt` returns; kInternal
  // for what LibTorch reports.
  Result<std::vector<float>> SampleActions(const ModelInput& input, const InterruptCheck& interrupt,
                                           ModelTimings* timings);

  // Runs the input with all exact savings off, whatever the options say, and returns the
  // intermediates in the order in which they are computed, under the names of the golden data:
  //   vision.<c>.embeddings, vision.<c>.layer<l>, vision.<c>.post_layernorm, image_emb.<c>  (<c>:
  //   camera slot number), token_emb, prefix_position_ids, prefix_k.<l>, prefix_v.<l>,
  //   suffix_position_ids, time_emb.step0, suffix_emb.step0,
  //   adarms.step0.cond, adarms.step0.layer<l>.{input,post_attention}.{scale,shift,gate},
  //   adarms.step0.final.{scale,shift,gate}, expert.step0.layer<l>.input_norm,
  //   expert.step0.layer<l>, expert.step0.final_norm, t, then v_t.<i> and x_t.<i+1> step by step.
  // Errors: as SampleActions.
  Result<std::vector<NamedArray>> Trace(const ModelInput& input);

  // Touches every weight once and runs vision on one camera, a one-token prefix and one denoise
  // step.
  Status WarmUp();

 private:
  struct Impl;
  explicit Pi0Model(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace vlaserve
