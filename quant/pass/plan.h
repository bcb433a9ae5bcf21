// What the pass is going to do, layer by layer, before a weight is read. Includes LibTorch's JIT
// headers.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/archive/archive.h"
#include "model/io/dtype.h"
#include "model/io/status.h"
#include "model/policy/run_options.h"
#include "quant/calibration/calibration.h"
#include "quant/pack/manifest.h"
#include "quant/pass/lower.h"
#include "quant/select/select.h"

namespace vlaserve {

// One layer that will be replaced and everything that its pack depends on.
struct PlannedLayer {
  SelectedLayer layer;
  GraphLinear graph;                  // weight and bias alias the archive's mapping
  DType compute_dtype = DType::kF32;  // of x: kF32 or kBF16
  std::vector<float> smooth;          // [K]; empty: none
  std::string npz_path;               // empty: none
  PackInputs pack;

  const std::string& name() const { return layer.linear.name; }
  int64_t source_bytes() const { return static_cast<int64_t>(graph.weight.nbytes()); }
};

struct Plan {
  std::vector<PlannedLayer> layers;  // in the order of the selection
  std::optional<CalibrationFile> calibration;
  std::vector<std::string> notes;
  std::vector<std::string> warnings;  // not strict: what stays float, and why
};

// Matches a selection with the archive's graphs, digests and the files that the configuration
// names. Errors: kInvalidArgument with the option's key for a layer that is never run or whose
// weight is also read otherwise, a missing smoothing entry or openpi_duquant pack (not strict: a
// warning, the layer is left out), and for a file that cannot be used.
Result<Plan> PlanLayers(Archive& archive, std::span<const SelectedLayer> selected,
                        const QuantConfig& config, const RunOptions& run);

// Whether the layer's pack, or its activation scales, depend on recorded activations.
bool PackNeedsCalibration(const LayerSettings& settings);
bool ScalesNeedCalibration(const QuantConfig& config, const LayerSettings& settings);

}  // namespace vlaserve
