// Whole action chunks of two policies for the same inputs and noise.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "model/archive/archive.h"
#include "model/io/status.h"
#include "model/policy/model_inputs.h"
#include "model/policy/policy.h"
#include "model/policy/torch_policy.h"
#include "quant/quantize.h"

namespace vlaserve {

// Model actions [horizon, action_dim], row-major.
using Chunk = std::vector<float>;

// One chunk per input. Errors: those of Pi0Model::SampleActions with the input's name; kInternal
// for actions that are not finite.
Result<std::vector<Chunk>> RunChunks(TorchPolicy& policy, std::span<const NamedInput> inputs);

// A policy with the configured linears quantized.
struct QuantizedPolicy {
  QuantSummary summary;
  std::unique_ptr<TorchPolicy> policy;
};

// QuantizeArchive, then the policy; `quantize.run` and `quantize.observer` are set here. Errors:
// theirs.
Result<QuantizedPolicy> MakeQuantizedPolicy(std::unique_ptr<Archive> archive,
                                            const PolicyOptions& options, QuantizeInputs quantize);

// Differences in model space.
struct ChunkComparison {
  std::string name;
  double max_abs_diff = 0;
  double mean_abs_diff = 0;
  double cosine = 1;
};

// Preconditions: as many chunks as inputs, each of rows of `width` numbers, of which the first
// `columns` count.
std::vector<ChunkComparison> CompareChunks(std::span<const NamedInput> inputs,
                                           std::span<const Chunk> quantized,
                                           std::span<const Chunk> reference, int64_t width,
                                           int64_t columns);

// Over all chunks.
struct ChunkSummary {
  double max_abs_diff = 0;
  double mean_abs_diff = 0;  // mean of the means
  double cosine_mean = 1;
  double cosine_median = 1;
  double cosine_min = 1;
};

// Precondition: not empty.
ChunkSummary Summarize(std::span<const ChunkComparison> chunks);

}  // namespace vlaserve
