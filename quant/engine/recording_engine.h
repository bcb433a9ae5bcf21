// The float linear, recording what it is given: what `vlaserve calibrate` puts in place of linears.
#pragma once

#include <memory>
#include <string>

#include "quant/calibration/recorder.h"
#include "quant/engine/linear_engine.h"
#include "quant/engine/observer.h"

namespace vlaserve {

// Computes exactly what aten::linear would have: y = x Wᵀ + b in x's dtype.
class RecordingEngine : public LinearEngine {
 public:
  // `weight` [N, K] and `bias` [N] (undefined: none) in the dtype in which the policy wants them.
  // `observer` tells the denoise step. What is recorded (as float32) goes into `recorder`, whose
  // number of columns is K.
  RecordingEngine(std::string name, at::Tensor weight, at::Tensor bias,
                  std::shared_ptr<LayerRecorder> recorder,
                  std::shared_ptr<const EngineObserver> observer);

  at::Tensor Forward(const at::Tensor& x) override;

 private:
  std::string name_;
  at::Tensor weight_;
  at::Tensor bias_;
  std::shared_ptr<LayerRecorder> recorder_;
  std::shared_ptr<const EngineObserver> observer_;
};

}  // namespace vlaserve
