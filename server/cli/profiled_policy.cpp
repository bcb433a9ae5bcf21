#include "server/cli/profiled_policy.h"

#include <utility>

namespace vlaserve {
namespace {

class ProfiledPolicy : public Policy {
 public:
  ProfiledPolicy(std::unique_ptr<Policy> policy, SecondsClock clock,
                 std::shared_ptr<PolicyProfile> profile)
      : policy_(std::move(policy)), clock_(std::move(clock)), profile_(std::move(profile)) {}

  const PolicySettings& settings() const override { return policy_->settings(); }
  const Geometry& geometry() const override { return policy_->geometry(); }
  Status Validate(const Observation& observation, const InferOptions& options) const override {
    return policy_->Validate(observation, options);
  }
  Status WarmUp() override { return policy_->WarmUp(); }

  Result<ActionChunk> Infer(const Observation& observation, const InferOptions& options,
                            const InterruptCheck& interrupt) override {
    const double start = clock_();
    Result<ActionChunk> chunk = policy_->Infer(observation, options, interrupt);
    if (!chunk.ok()) return chunk;
    const auto elements = static_cast<int64_t>(chunk->actions.size());
    ++profile_->infer.calls;
    profile_->infer.seconds += clock_() - start;
    profile_->infer.elements += elements;
    profile_->infer.bytes += elements * static_cast<int64_t>(sizeof(double));
    return chunk;
  }

 private:
  std::unique_ptr<Policy> policy_;
  SecondsClock clock_;
  std::shared_ptr<PolicyProfile> profile_;
};

}  // namespace

std::unique_ptr<Policy> MakeProfiledPolicy(std::unique_ptr<Policy> policy, SecondsClock clock,
                                           std::shared_ptr<PolicyProfile> profile) {
  return std::make_unique<ProfiledPolicy>(std::move(policy), std::move(clock), std::move(profile));
}

}  // namespace vlaserve
