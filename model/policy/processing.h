// Between the robot's units and the model's: the pre- and post-processing of a policy (spec pi0.md
// §3.2, §3.6). Free of LibTorch headers.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/checkpoint/geometry.h"
#include "model/checkpoint/norm_stats.h"
#include "model/io/status.h"
#include "model/policy/pi0_model.h"
#include "model/policy/policy.h"
#include "model/settings/policy_settings.h"
#include "model/transforms/tokenizer.h"

namespace vlaserve {

// A picture of any size as the model's pixels: float32 [3, side, side] in [-1, 1].
Result<std::vector<float>> ModelPixels(ResizeMethod method, const RgbImage& image, int64_t side);

// Everything of a policy that is not the network. Immutable; any thread.
class Processing {
 public:
  // Reads the tokenizer. `origin` names the archive. Errors: kUnreadable for a tokenizer that is
  // damaged or has more pieces than the model has embeddings, and for statistics that do not fit.
  static Result<Processing> Create(const PolicySettings& settings, const Geometry& geometry,
                                   const NormStats& stats, std::string_view tokenizer_model,
                                   std::string_view origin);

  struct Prepared {
    ModelInput input;  // everything but noise and num_steps
    bool prompt_truncated = false;
  };

  // Precondition: ValidateObservation passed. kInvalidArgument (field "state") for a state so far
  // from the statistics that its normalised value is no float32 number.
  Result<Prepared> Prepare(const Observation& observation) const;

  // Model actions [horizon, action_dim] to what the client gets, [horizon, output_action_dim]:
  // un-normalised, offsets made absolute with the raw `state`.
  Result<std::vector<double>> Finish(std::span<const float> model_actions,
                                     std::span<const double> state) const;

  const PolicySettings& settings() const { return settings_; }
  const Geometry& geometry() const { return geometry_; }

 private:
  Processing(const PolicySettings& settings, const Geometry& geometry, const NormStats& stats,
             Tokenizer tokenizer);

  PolicySettings settings_;
  Geometry geometry_;
  NormStats stats_;
  Tokenizer tokenizer_;
};

}  // namespace vlaserve
