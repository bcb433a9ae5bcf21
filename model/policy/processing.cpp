#include "model/policy/processing.h"

#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "model/transforms/actions.h"
#include "model/transforms/image_resize.h"
#include "model/transforms/normalize.h"
#include "model/transforms/prompt_tokens.h"

namespace vlaserve {

Result<std::vector<float>> ModelPixels(ResizeMethod method, const RgbImage& image, int64_t side) {
  if (method == ResizeMethod::kTorchBilinearWithPad) return TorchResizeWithPad(image, side);
  VLASERVE_ASSIGN_OR_RETURN(const RgbImage square, ResizeWithPad(image, side));
  std::vector<float> pixels(square.pixels.size());
  ToModelPixels(square, pixels);
  return pixels;
}

Processing::Processing(const PolicySettings& settings, const Geometry& geometry,
                       const NormStats& stats, Tokenizer tokenizer)
    : settings_(settings), geometry_(geometry), stats_(stats), tokenizer_(std::move(tokenizer)) {}

Result<Processing> Processing::Create(const PolicySettings& settings, const Geometry& geometry,
                                      const NormStats& stats, std::string_view tokenizer_model,
                                      std::string_view origin) {
  const std::string tokenizer_origin = std::string(origin) + ": tokenizer.model";
  VLASERVE_ASSIGN_OR_RETURN(Tokenizer tokenizer,
                            Tokenizer::Parse(tokenizer_model, tokenizer_origin));
  if (tokenizer.vocab_size() > geometry.vocab_size) {
    return Status(StatusCode::kUnreadable, tokenizer_origin + " has " +
                                               std::to_string(tokenizer.vocab_size()) +
                                               " pieces, the model has embeddings for " +
                                               std::to_string(geometry.vocab_size));
  }
  const std::string stats_origin = std::string(origin) + ": norm_stats.json";
  VLASERVE_RETURN_IF_ERROR(CheckNormStats(stats, settings, geometry.action_dim, stats_origin));
  return Processing(settings, geometry, stats, std::move(tokenizer));
}

Result<Processing::Prepared> Processing::Prepare(const Observation& observation) const {
  Prepared prepared;
  for (const Camera& camera : settings_.cameras) {
    CameraInput slot;
    const auto image =
        camera.name ? observation.images.find(*camera.name) : observation.images.end();
    if (image != observation.images.end()) {
      Result<std::vector<float>> pixels =
          ModelPixels(settings_.resize, image->second, geometry_.image_size);
      if (!pixels.ok()) {
        return Status(pixels.status().code(), "images[" + *camera.name + "]",
                      pixels.status().message());
      }
      slot.valid = true;
      slot.pixels = *std::move(pixels);
    }
    prepared.input.cameras.push_back(std::move(slot));
  }

  VLASERVE_ASSIGN_OR_RETURN(
      const std::vector<double> normalized,
      Normalize(observation.state, stats_.state, settings_.normalization, settings_.convention));
  for (const double value : PadWithZeros(normalized, geometry_.action_dim)) {
    if (!(std::abs(value) <= std::numeric_limits<float>::max())) {
      return Status(StatusCode::kInvalidArgument, "state",
                    "value " + std::to_string(prepared.input.state.size()) +
                        " is too far from the policy's statistics to be represented");
    }
    prepared.input.state.push_back(static_cast<float>(value));
  }

  const std::string& prompt =
      observation.prompt ? *observation.prompt : settings_.default_prompt.value();
  VLASERVE_ASSIGN_OR_RETURN(PromptTokens tokens,
                            TokenizePrompt(tokenizer_, settings_.prompt_format, prompt, normalized,
                                           geometry_.prompt_slots));
  prepared.input.tokens = std::move(tokens.ids);
  prepared.input.token_mask = std::move(tokens.mask);
  prepared.prompt_truncated = tokens.truncated;
  return prepared;
}

Result<std::vector<double>> Processing::Finish(std::span<const float> model_actions,
                                               std::span<const double> state) const {
  // As float32, which the reference's quantile formula keeps for its first two operations.
  VLASERVE_ASSIGN_OR_RETURN(std::vector<double> actions,
                            Unnormalize(model_actions, geometry_.action_dim, stats_.actions,
                                        settings_.normalization, settings_.convention));
  VLASERVE_RETURN_IF_ERROR(
      AddStateToDeltaActions(settings_.delta_action_mask, state, geometry_.action_dim, actions));
  return FirstColumns(actions, geometry_.action_dim, settings_.output_action_dim);
}

}  // namespace vlaserve
