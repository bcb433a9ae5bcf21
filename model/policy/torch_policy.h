// The Policy that runs an archive. Free of LibTorch headers; made by CreatePolicy, or directly
// where the model behind it is needed too (the golden check).
#pragma once

#include <memory>

#include "model/archive/archive.h"
#include "model/policy/pi0_model.h"
#include "model/policy/policy.h"
#include "model/policy/processing.h"

namespace vlaserve {

class TorchPolicy : public Policy {
 public:
  // As CreatePolicy.
  static Result<std::unique_ptr<TorchPolicy>> Create(std::unique_ptr<Archive> archive,
                                                     const PolicyOptions& options);

  const PolicySettings& settings() const override { return processing_.settings(); }
  const Geometry& geometry() const override { return processing_.geometry(); }
  Status Validate(const Observation& observation, const InferOptions& options) const override;
  // Without noise, options.seed must be set: kInvalidArgument (field "seed") otherwise.
  Result<ActionChunk> Infer(const Observation& observation, const InferOptions& options,
                            const InterruptCheck& interrupt) override;
  Status WarmUp() override { return model_->WarmUp(); }

  Pi0Model& model() { return *model_; }
  const Processing& processing() const { return processing_; }

 private:
  TorchPolicy(std::unique_ptr<Pi0Model> model, Processing processing)
      : model_(std::move(model)), processing_(std::move(processing)) {}

  std::unique_ptr<Pi0Model> model_;
  Processing processing_;
};

}  // namespace vlaserve
