// The log lines of a layer's first call, as openpi_duquant has them. Includes LibTorch.
#pragma once

#include <ATen/core/Tensor.h>

#include "quant/engine/engine_inputs.h"

namespace vlaserve {

// The inputs with an observer that observes nothing if they have none.
EngineInputs WithObserver(EngineInputs inputs);

// [DUQUANT][CACHE] and [FORWARD] of a layer that computes from its pack's codes, once.
class FirstForward {
 public:
  void Log(const EngineInputs& layer, const at::Tensor& x, const at::Tensor& y);

 private:
  bool logged_ = false;
};

}  // namespace vlaserve
