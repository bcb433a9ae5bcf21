// Calibration as `vlaserve calibrate` makes it: a policy runs in float and its linears record what
// they are given. Free of LibTorch headers.
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
#include "quant/calibration/calibration.h"

namespace vlaserve {

struct RecordOptions {
  // Names of linears; empty: every live one that the lowering can replace.
  std::vector<std::string> layers;
  int64_t max_rows = 128;  // kept of each layer and denoise step (LayerRecorder)
  int64_t seed = 0;        // of the choice of rows
  PolicyOptions policy;
};

struct Recording {
  Calibration calibration;
  std::vector<std::string> notes;  // one line each: linears that are left out, and why
};

// Runs every input through all its denoise steps, in float. Masked cameras and padding never enter
// (ExactSavings::drop_masked), so that they do not count; everything else that is computed for real
// inputs is, whatever options.policy.savings says. Memory: that of the float policy and what
// LayerRecorder's header says of each layer.
//
// `progress` (may be empty) is called before each input with its number. Errors: kInvalidArgument
// naming a layer that cannot be recorded, or without inputs; those of TorchPolicy::Create and
// Pi0Model::SampleActions with the input's name (NaN or Inf at a layer's input names the layer).
Result<Recording> RecordCalibration(std::unique_ptr<Archive> archive, const RecordOptions& options,
                                    std::span<const NamedInput> inputs,
                                    const std::function<void(size_t input)>& progress);

}  // namespace vlaserve
