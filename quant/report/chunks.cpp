#include "quant/report/chunks.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

#include "quant/report/error_sums.h"

namespace vlaserve {

Result<std::vector<Chunk>> RunChunks(TorchPolicy& policy, std::span<const NamedInput> inputs) {
  std::vector<Chunk> chunks;
  for (const NamedInput& input : inputs) {
    Result<Chunk> chunk = policy.model().SampleActions(input.input, {}, nullptr);
    if (!chunk.ok()) return chunk.status().WithContext(input.name);
    if (!std::all_of(chunk->begin(), chunk->end(),
                     [](float value) { return std::isfinite(value); })) {
      return Status(StatusCode::kInternal, input.name + ": the actions are not finite");
    }
    chunks.push_back(*std::move(chunk));
  }
  return chunks;
}

Result<QuantizedPolicy> MakeQuantizedPolicy(std::unique_ptr<Archive> archive,
                                            const PolicyOptions& options, QuantizeInputs quantize) {
  VLASERVE_ASSIGN_OR_RETURN(const RunOptions run, ResolveOptions(options, archive->settings()));
  const auto observer = std::make_shared<EngineObserver>(EngineObserver::Options{});
  quantize.run = &run;
  quantize.observer = observer;
  QuantizedPolicy result;
  VLASERVE_ASSIGN_OR_RETURN(result.summary, QuantizeArchive(*archive, quantize));
  PolicyOptions observed = options;
  observed.on_denoise_step = [observer](int64_t step) { observer->denoise_step = step; };
  VLASERVE_ASSIGN_OR_RETURN(result.policy, TorchPolicy::Create(std::move(archive), observed));
  return result;
}

std::vector<ChunkComparison> CompareChunks(std::span<const NamedInput> inputs,
                                           std::span<const Chunk> quantized,
                                           std::span<const Chunk> reference, int64_t width,
                                           int64_t columns) {
  assert(inputs.size() == quantized.size() && inputs.size() == reference.size());
  std::vector<ChunkComparison> comparisons;
  for (size_t i = 0; i < inputs.size(); ++i) {
    assert(quantized[i].size() == reference[i].size());
    ErrorSums sums;
    for (size_t row = 0; row < reference[i].size(); row += static_cast<size_t>(width)) {
      const auto part = [&](const Chunk& chunk) {
        return std::span(chunk).subspan(row, static_cast<size_t>(columns));
      };
      sums.Add(part(quantized[i]), part(reference[i]));
    }
    comparisons.push_back({inputs[i].name, sums.largest, sums.MeanAbsolute(), sums.Cosine()});
  }
  return comparisons;
}

ChunkSummary Summarize(std::span<const ChunkComparison> chunks) {
  assert(!chunks.empty());
  ChunkSummary summary;
  std::vector<double> cosines;
  double mean = 0;
  double cosine = 0;
  for (const ChunkComparison& chunk : chunks) {
    summary.max_abs_diff = std::max(summary.max_abs_diff, chunk.max_abs_diff);
    mean += chunk.mean_abs_diff;
    cosine += chunk.cosine;
    cosines.push_back(chunk.cosine);
  }
  const auto count = static_cast<double>(chunks.size());
  summary.mean_abs_diff = mean / count;
  summary.cosine_mean = cosine / count;
  std::sort(cosines.begin(), cosines.end());
  summary.cosine_min = cosines.front();
  const size_t middle = cosines.size() / 2;
  summary.cosine_median =
      cosines.size() % 2 == 1 ? cosines[middle] : (cosines[middle - 1] + cosines[middle]) / 2;
  return summary;
}

}  // namespace vlaserve
