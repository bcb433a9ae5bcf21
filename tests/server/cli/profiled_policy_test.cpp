#include "server/cli/profiled_policy.h"

#include "tests/support/catch.h"

namespace vlaserve {
namespace {

class ThreeActions : public Policy {
 public:
  const PolicySettings& settings() const override { return settings_; }
  const Geometry& geometry() const override { return geometry_; }
  Status Validate(const Observation& /*observation*/,
                  const InferOptions& /*options*/) const override {
    return Status::Ok();
  }
  Result<ActionChunk> Infer(const Observation& /*observation*/, const InferOptions& options,
                            const InterruptCheck& /*interrupt*/) override {
    if (!options.seed) return Status(StatusCode::kInvalidArgument, "seed", "none");
    ActionChunk chunk;
    chunk.actions = {1, 2, 3};
    chunk.seed = *options.seed;
    return chunk;
  }
  Status WarmUp() override { return {StatusCode::kInternal, "cold"}; }

 private:
  PolicySettings settings_;
  Geometry geometry_;
};

}  // namespace

TEST_CASE("a profiled policy passes everything on and counts what succeeded") {
  const auto profile = std::make_shared<PolicyProfile>();
  double time = 0;
  const std::unique_ptr<Policy> policy = MakeProfiledPolicy(
      std::make_unique<ThreeActions>(), [&time] { return time += 0.5; }, profile);
  CHECK(policy->Infer({}, {.seed = 4}, {})->seed == 4);
  CHECK(policy->Infer({}, {.seed = 5}, {})->actions.size() == 3);
  CHECK(policy->Infer({}, {}, {}).status().field() == "seed");
  CHECK(policy->WarmUp().message() == "cold");
  CHECK(profile->infer.calls == 2);
  CHECK(profile->infer.seconds == 1.0);
  CHECK(profile->infer.elements == 6);
  CHECK(profile->infer.bytes == 48);
}

}  // namespace vlaserve
