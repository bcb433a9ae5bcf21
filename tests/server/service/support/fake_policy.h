// A policy without a model: what the server's tests serve.
#pragma once

#include <atomic>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "model/policy/policy.h"
#include "server/service/server.h"

namespace vlaserve::testing {

// What the test and the policy share. The fields may be changed while the policy runs.
struct FakePolicyControl {
  // While true, WarmUp (Infer) does not return.
  std::atomic<bool> hold_warm_up = false;
  std::atomic<bool> hold_infer = false;
  std::atomic<bool> fail_load = false;
  std::atomic<bool> fail_warm_up = false;
  std::atomic<bool> return_nan = false;
  std::atomic<bool> return_too_few = false;
  std::atomic<bool> return_internal = false;
  std::atomic<bool> throw_in_load = false;
  std::atomic<bool> throw_in_warm_up = false;
  std::atomic<bool> throw_in_infer = false;

  std::atomic<int> infers_started = 0;
  std::atomic<int> infers_ended = 0;
  std::atomic<int> interrupted = 0;
  std::atomic<int> policies_alive = 0;
  std::atomic<bool> wrong_thread = false;  // a call came from another thread than the factory's

  std::mutex mutex;
  std::vector<std::string> prompts;       // of the inferences that were started; guarded by mutex
  std::vector<Observation> observations;  // likewise
  std::vector<InferOptions> options;      // likewise
};

inline PolicySettings FakeSettings() {
  PolicySettings settings;
  settings.name = "fake";
  settings.type = PolicyType::kPi0;
  settings.num_steps = 4;
  settings.state_dim = 8;
  settings.output_action_dim = 7;
  settings.delta_action_mask = {true, true, true, true, true, true, false};
  settings.cameras = {{"base_0_rgb", "image", "observation/image", false},
                      {"left_wrist_0_rgb", "wrist_image", "observation/wrist_image", false},
                      {"right_wrist_0_rgb", std::nullopt, std::nullopt, false}};
  settings.client_json = R"({"replan_steps":5})";
  return settings;
}

inline Geometry FakeGeometry() {
  Geometry geometry;
  geometry.image_size = 224;
  geometry.patch_size = 32;
  geometry.action_dim = 32;
  geometry.horizon = 10;
  geometry.prompt_slots = 48;
  return geometry;
}

inline ServerInfo FakeInfo() {
  return {"1.2.3", "abc123", FakeSettings(), FakeGeometry(), "cpu", "float32", 2};
}

class FakePolicy final : public Policy {
 public:
  explicit FakePolicy(FakePolicyControl& control)
      : control_(control), thread_(std::this_thread::get_id()) {
    ++control_.policies_alive;
  }
  ~FakePolicy() override {
    CheckThread();
    --control_.policies_alive;
  }

  const PolicySettings& settings() const override { return settings_; }
  const Geometry& geometry() const override { return geometry_; }

  Status Validate(const Observation& observation, const InferOptions& options) const override {
    if (observation.state.size() != 8) {
      return {StatusCode::kInvalidArgument, "state",
              std::to_string(observation.state.size()) + " values, expected 8"};
    }
    for (const double value : observation.state) {
      if (!std::isfinite(value)) {
        return {StatusCode::kInvalidArgument, "state", "a value is not finite"};
      }
    }
    if (!observation.prompt || observation.prompt->empty()) {
      return {StatusCode::kInvalidArgument, "prompt", "empty, expected the task in words"};
    }
    if (!options.noise.empty() && options.noise.size() != 320) {
      return {StatusCode::kInvalidArgument, "noise", "expected 10 * 32 values"};
    }
    if (options.seed && !options.noise.empty()) {
      return {StatusCode::kInvalidArgument, "noise", "given together with seed"};
    }
    if (*options.num_steps < 1 || *options.num_steps > 100) {
      return {StatusCode::kInvalidArgument, "num_steps", "expected 1 to 100"};
    }
    return Status::Ok();
  }

  // Action (r, c) is state[c] + r + mean of the first camera's first pixel.
  Result<ActionChunk> Infer(const Observation& observation, const InferOptions& options,
                            const InterruptCheck& interrupt) override {
    CheckThread();
    VLASERVE_RETURN_IF_ERROR(Validate(observation, options));
    {
      const std::lock_guard lock(control_.mutex);
      control_.prompts.push_back(*observation.prompt);
      control_.observations.push_back(observation);
      control_.options.push_back(options);
    }
    ++control_.infers_started;
    const Status status = Denoise(interrupt);
    ++control_.infers_ended;
    VLASERVE_RETURN_IF_ERROR(status);
    if (control_.throw_in_infer) throw std::bad_alloc();
    if (control_.return_internal) return Status(StatusCode::kInternal, "secret detail");

    ActionChunk chunk;
    chunk.horizon = geometry_.horizon;
    chunk.action_dim = settings_.output_action_dim;
    chunk.seed = options.seed.value_or(0);
    chunk.timings = {1, 2, 3, 4};
    for (int64_t row = 0; row < chunk.horizon; ++row) {
      for (size_t column = 0; column < 7; ++column) {
        chunk.actions.push_back(observation.state[column] + static_cast<double>(row));
      }
    }
    if (control_.return_nan) chunk.actions[33] = std::numeric_limits<double>::quiet_NaN();
    if (control_.return_too_few) chunk.actions.pop_back();
    return chunk;
  }

  Status WarmUp() override {
    CheckThread();
    while (control_.hold_warm_up) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (control_.throw_in_warm_up) throw std::bad_alloc();
    if (control_.fail_warm_up) return {StatusCode::kInternal, "no such operator"};
    return Status::Ok();
  }

 private:
  // Denoise steps for as long as the test wants.
  Status Denoise(const InterruptCheck& interrupt) {
    do {
      Status status = interrupt();
      if (!status.ok()) {
        ++control_.interrupted;
        return status;
      }
      if (control_.hold_infer) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    } while (control_.hold_infer);
    return Status::Ok();
  }

  void CheckThread() const {
    if (std::this_thread::get_id() != thread_) control_.wrong_thread = true;
  }

  FakePolicyControl& control_;
  const std::thread::id thread_;
  const PolicySettings settings_ = FakeSettings();
  const Geometry geometry_ = FakeGeometry();
};

// `control` must outlive the server.
inline PolicyFactory FakeFactory(FakePolicyControl& control) {
  return [&control]() -> Result<std::unique_ptr<Policy>> {
    if (control.throw_in_load) throw std::bad_alloc();
    if (control.fail_load) return Status(StatusCode::kUnreadable, "policy.pt: truncated");
    return std::unique_ptr<Policy>(new FakePolicy(control));
  };
}

// Waits until `condition` holds, up to ten seconds; false if it never does.
template <typename Condition>
bool Eventually(const Condition& condition) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace vlaserve::testing
