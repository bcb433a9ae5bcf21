// From one weight and its settings to a pack. Free of LibTorch in this header.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "model/io/status.h"
#include "quant/calibration/calibration.h"
#include "quant/config/quant_config.h"
#include "quant/pack/npz_pack.h"
#include "quant/pack/packed_layer.h"

namespace vlaserve {

struct PackRequest {
  std::string name;               // for messages
  std::span<const float> weight;  // [N, K], as stored, widened; never changed
  int64_t out_features = 0;
  int64_t in_features = 0;
  LayerSettings settings;  // resolved (quant/select/select.h)
  PackArithmetic arithmetic = PackArithmetic::kInteger;
  std::span<const float> smooth;                  // [K], or empty
  const LayerCalibration* calibration = nullptr;  // what kActSnake and kDuquantGreedy look at
  const NpzPack* npz = nullptr;                   // transforms to use instead of computing them
  CompatBugs compat_bugs;
};

// Builds the transforms (quant/transform), applies them to the weight and quantizes it by the rule
// of request.arithmetic. Deterministic; uses the calling thread only. Errors (kInvalidArgument)
// name the layer and the option at fault: NaN, Inf or a too large scale in the weight, missing
// calibration data, an npz pack of another shape.
Result<PackContents> BuildPack(const PackRequest& request);

}  // namespace vlaserve
