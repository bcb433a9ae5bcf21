// What an engine is made from. Includes LibTorch.
#pragma once

#include <memory>
#include <string>

#include <ATen/core/Tensor.h>

#include "kernels/isa.h"
#include "quant/calibration/calibration.h"
#include "quant/config/quant_config.h"
#include "quant/engine/observer.h"
#include "quant/pack/packed_layer.h"

namespace vlaserve {

struct EngineInputs {
  std::string name;  // for messages and log lines
  PackedLayer pack;
  LayerSettings settings;                     // resolved
  CompatBugs compat_bugs;                     // legacy_exact
  at::Tensor weight;                          // [N, K], as stored; kInt and kFake never touch it
  at::Tensor bias;                            // [N], as stored; undefined: none
  at::ScalarType compute_dtype = at::kFloat;  // in which the layer would have run
  // Of this layer; null: none. Read while the engine is made only.
  const LayerCalibration* calibration = nullptr;
  std::shared_ptr<EngineObserver> observer;
  // kInt: whose kernels compute.
  kernels::Isa isa = kernels::CurrentIsa().isa;
  // kLegacyExact: keep the dequantized weight instead of computing it in every call.
  bool precache_weights = true;
};

}  // namespace vlaserve
