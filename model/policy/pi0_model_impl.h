// Inside of Pi0Model, shared by its two source files. Includes LibTorch's JIT headers.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include "model/archive/module.h"
#include "model/policy/method_trace.h"
#include "model/policy/pi0_model.h"

namespace vlaserve {

// Keys and values of the prefix with room for the suffix, and what the suffix has to know about it.
struct Prefix {
  c10::IValue keys;         // D tensors [1, g, P + suffix slots, d]
  c10::IValue values;       // likewise
  std::vector<bool> valid;  // per prefix token
  int64_t valid_count = 0;
  bool has_masked = false;

  int64_t length() const { return static_cast<int64_t>(valid.size()); }
};

struct Pi0Model::Impl {
  Impl(std::unique_ptr<Archive> archive_in, const RunOptions& options_in)
      : archive(std::move(archive_in)),
        options(options_in),
        geometry(archive->geometry()),
        module(archive->module().module) {}

  // Sizes and value ranges of an input against the geometry.
  Status CheckInput(const ModelInput& input) const;

  void AnnounceStep(int64_t step) const;

  // The whole run. `trace`, if not null, executes and records the method calls.
  Result<std::vector<float>> Generate(const ModelInput& input, const ExactSavings& savings,
                                      MethodTrace* trace, const InterruptCheck& interrupt,
                                      ModelTimings* timings);

  Result<Prefix> EncodePrefix(const ModelInput& input, const ExactSavings& savings,
                              int64_t suffix_slots, MethodTrace* trace,
                              const InterruptCheck& interrupt);
  // The first `steps` of the input's denoise steps; returns x after them.
  Result<std::vector<float>> Denoise(const ModelInput& input, const ExactSavings& savings,
                                     const Prefix& prefix, int64_t steps, MethodTrace* trace,
                                     const InterruptCheck& interrupt);

  // step_condition for every step of a run of `num_steps`: [N, …]. The table of the default number
  // of steps is kept, and the last few others.
  at::Tensor StepTable(int64_t num_steps);

  c10::IValue Call(MethodTrace* trace, const std::string& method,
                   std::vector<c10::IValue> arguments);

  bool is_pi0() const { return geometry.type == PolicyType::kPi0; }

  std::unique_ptr<Archive> archive;
  RunOptions options;
  Geometry geometry;
  torch::jit::Module module;
  LoadSummary load_summary;
  std::pair<int64_t, at::Tensor> default_step_table;
  std::deque<std::pair<int64_t, at::Tensor>> other_step_tables;  // most recently used first
};

}  // namespace vlaserve
