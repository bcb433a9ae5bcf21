#include "quant/report/equivalence.h"

#include <algorithm>
#include <utility>

namespace vlaserve {

bool EquivalenceReport::passed() const {
  return !summary.layers.empty() && !chunks.empty() &&
         std::all_of(chunks.begin(), chunks.end(), [this](const ChunkComparison& chunk) {
           return chunk.max_abs_diff <= tolerance;
         });
}

QuantConfig TransformsOnly(const QuantConfig& config) {
  QuantConfig changed = config;
  changed.engine = Engine::kTransformsOnly;
  changed.dry_run = false;
  changed.compat_bugs = {};
  return changed;
}

Result<EquivalenceReport> CheckEquivalence(const ArchiveOpener& open, const PolicyOptions& policy,
                                           const QuantizeInputs& quantize,
                                           std::span<const NamedInput> inputs, double tolerance) {
  EquivalenceReport report;
  report.tolerance = tolerance;
  // One policy at a time is in memory.
  std::vector<Chunk> reference;
  {
    VLASERVE_ASSIGN_OR_RETURN(std::unique_ptr<Archive> archive, open());
    VLASERVE_ASSIGN_OR_RETURN(const std::unique_ptr<TorchPolicy> original,
                              TorchPolicy::Create(std::move(archive), policy));
    VLASERVE_ASSIGN_OR_RETURN(reference, RunChunks(*original, inputs));
  }
  VLASERVE_ASSIGN_OR_RETURN(std::unique_ptr<Archive> archive, open());
  VLASERVE_ASSIGN_OR_RETURN(QuantizedPolicy transformed,
                            MakeQuantizedPolicy(std::move(archive), policy, quantize));
  VLASERVE_ASSIGN_OR_RETURN(const std::vector<Chunk> chunks,
                            RunChunks(*transformed.policy, inputs));
  report.summary = std::move(transformed.summary);
  const int64_t width = transformed.policy->geometry().action_dim;
  report.chunks = CompareChunks(inputs, chunks, reference, width, width);
  return report;
}

}  // namespace vlaserve
