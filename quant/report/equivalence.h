// `vlaserve check --equivalence`: transforms without quantization must not change what a policy
// does.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "model/archive/archive.h"
#include "model/io/status.h"
#include "model/policy/model_inputs.h"
#include "model/policy/policy.h"
#include "quant/quantize.h"
#include "quant/report/chunks.h"

namespace vlaserve {

// Opens the policy's archive; each policy takes one over.
using ArchiveOpener = std::function<Result<std::unique_ptr<Archive>>()>;

struct EquivalenceReport {
  double tolerance = 0;
  QuantSummary summary;
  std::vector<ChunkComparison> chunks;  // over all columns of the model's actions

  // At least one chunk and one layer were compared, and no difference is above the tolerance.
  bool passed() const;
};

// The configuration's selection and transforms, with engine transforms_only.
QuantConfig TransformsOnly(const QuantConfig& config);

// Runs every input through the float policy and through one with `quantize.config`, whose engine
// must be kTransformsOnly. Errors: those of the opener, MakeQuantizedPolicy and RunChunks.
Result<EquivalenceReport> CheckEquivalence(const ArchiveOpener& open, const PolicyOptions& policy,
                                           const QuantizeInputs& quantize,
                                           std::span<const NamedInput> inputs, double tolerance);

}  // namespace vlaserve
