#include "model/policy/torch_policy.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>
#include <utility>

#include "model/policy/create_policy.h"
#include "model/policy/validate.h"
#include "model/transforms/noise.h"

namespace vlaserve {
namespace {

using Clock = std::chrono::steady_clock;

double MillisecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

template <typename T>
Status CheckFinite(const std::vector<T>& values, int64_t width, const std::string& what) {
  const auto bad =
      std::find_if(values.begin(), values.end(), [](T value) { return !std::isfinite(value); });
  if (bad == values.end()) return Status::Ok();
  const int64_t index = bad - values.begin();
  return {StatusCode::kInternal, what + " are not finite: row " + std::to_string(index / width) +
                                     ", column " + std::to_string(index % width)};
}

}  // namespace

Result<std::unique_ptr<TorchPolicy>> TorchPolicy::Create(std::unique_ptr<Archive> archive,
                                                         const PolicyOptions& options) {
  VLASERVE_ASSIGN_OR_RETURN(const RunOptions resolved,
                            ResolveOptions(options, archive->settings()));
  VLASERVE_ASSIGN_OR_RETURN(
      Processing processing,
      Processing::Create(archive->settings(), archive->geometry(), archive->norm_stats(),
                         archive->tokenizer_model(), archive->path()));
  VLASERVE_ASSIGN_OR_RETURN(std::unique_ptr<Pi0Model> model,
                            Pi0Model::Create(std::move(archive), resolved));
  return std::unique_ptr<TorchPolicy>(new TorchPolicy(std::move(model), std::move(processing)));
}

Status TorchPolicy::Validate(const Observation& observation, const InferOptions& options) const {
  return ValidateObservation(settings(), geometry(), observation, options);
}

Result<ActionChunk> TorchPolicy::Infer(const Observation& observation, const InferOptions& options,
                                       const InterruptCheck& interrupt) {
  const auto start = Clock::now();
  VLASERVE_RETURN_IF_ERROR(Validate(observation, options));
  if (options.noise.empty() && !options.seed) {
    return Status(StatusCode::kInvalidArgument, "seed", "neither a seed nor noise is given");
  }
  VLASERVE_ASSIGN_OR_RETURN(Processing::Prepared prepared, processing_.Prepare(observation));
  const int64_t width = geometry().action_dim;
  prepared.input.noise = options.noise.empty()
                             ? GaussianNoise(*options.seed, geometry().horizon * width)
                             : options.noise;
  prepared.input.num_steps = options.num_steps.value_or(model_->options().num_steps);

  ActionChunk chunk;
  chunk.timings.preprocess_ms = MillisecondsSince(start);
  ModelTimings timings;
  VLASERVE_ASSIGN_OR_RETURN(const std::vector<float> model_actions,
                            model_->SampleActions(prepared.input, interrupt, &timings));
  chunk.timings.prefix_ms = timings.prefix_ms;
  chunk.timings.denoise_ms = timings.denoise_ms;

  const auto finish_start = Clock::now();
  VLASERVE_RETURN_IF_ERROR(CheckFinite(model_actions, width, "the model's actions"));
  VLASERVE_ASSIGN_OR_RETURN(chunk.actions, processing_.Finish(model_actions, observation.state));
  chunk.horizon = geometry().horizon;
  chunk.action_dim = settings().output_action_dim;
  VLASERVE_RETURN_IF_ERROR(
      CheckFinite(chunk.actions, chunk.action_dim, "the un-normalised actions"));
  chunk.seed = options.noise.empty() ? *options.seed : 0;
  chunk.prompt_truncated = prepared.prompt_truncated;
  chunk.timings.postprocess_ms = MillisecondsSince(finish_start);
  return chunk;
}

Result<std::unique_ptr<Policy>> CreatePolicy(std::unique_ptr<Archive> archive,
                                             const PolicyOptions& options) {
  VLASERVE_ASSIGN_OR_RETURN(std::unique_ptr<TorchPolicy> policy,
                            TorchPolicy::Create(std::move(archive), options));
  return std::unique_ptr<Policy>(std::move(policy));
}

}  // namespace vlaserve
