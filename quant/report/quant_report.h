// `vlaserve check --quant-report`: what quantization costs, layer by layer and chunk by chunk.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "model/io/status.h"
#include "model/policy/model_inputs.h"
#include "model/policy/policy.h"
#include "quant/quantize.h"
#include "quant/report/chunks.h"
#include "quant/report/equivalence.h"

namespace vlaserve {

// One packed layer on the inputs that the float policy gives it.
struct LayerReport {
  QuantizedLayerInfo info;
  double weight_nmse = 0;  // of the transformed weight
  bool was_run = false;    // false: these observations never reach it, and what follows is unset
  double output_nmse = 0;
  double output_cosine = 1;
  double output_max_abs_diff = 0;

  const std::string& name() const { return info.layer.linear.name; }
};

struct QuantReport {
  std::string archive;
  std::string archive_sha256;
  QuantSummary summary;
  std::vector<LayerReport> layers;      // the worst output NMSE first; those never run come last
  std::vector<ChunkComparison> chunks;  // the columns that the policy's client gets
  ChunkSummary chunk_summary;
};

// Runs every input twice: through the float policy with all packed layers beside it, one pass, and
// through the quantized policy. The configuration must select at least one layer. Errors:
// kInvalidArgument without inputs or layers; those of the opener, MakeQuantizedPolicy and
// RunChunks.
Result<QuantReport> MakeQuantReport(const ArchiveOpener& open, const PolicyOptions& policy,
                                    const QuantizeInputs& quantize,
                                    std::span<const NamedInput> inputs);

}  // namespace vlaserve
