// The policies of the golden folder with what calibration and smoothing files they need.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/policy/model_inputs.h"
#include "quant/cache/pack_cache.h"
#include "quant/calibration/record.h"
#include "quant/report/equivalence.h"
#include "tests/model/policy/exported.h"

namespace vlaserve {

// An exported checkpoint, the inputs of its golden cases, and files made from it. All functions
// fail the running test where something goes wrong.
class CalibratedPolicy {
 public:
  // Takes at most `max_inputs` cases.
  CalibratedPolicy(const std::string& folder, size_t max_inputs);

  const std::vector<NamedInput>& inputs() const { return inputs_; }
  ArchiveOpener opener() const;
  std::unique_ptr<Archive> Open() const { return exported_->Open(); }

  // Recorded on the inputs, all layers; written once.
  const std::string& calibration_file();
  // A scale between 0.5 and 2 for every column of every live linear.
  const std::string& smooth_file();
  // In a folder of this policy's own.
  PackCache& cache() { return *cache_; }

 private:
  std::unique_ptr<ExportedArchive> exported_;
  std::vector<NamedInput> inputs_;
  std::unique_ptr<PackCache> cache_;
  std::string calibration_file_;
  std::string smooth_file_;
};

}  // namespace vlaserve
