// Differences between what the model computes and golden data.
#pragma once

#include <string>
#include <vector>

#include "model/policy/golden_folder.h"
#include "model/policy/pi0_model.h"

namespace vlaserve {

// Largest and mean absolute difference that pass.
struct Tolerance {
  double max = 0;
  double mean = 0;
};

// One compared tensor. A value that is not finite on either side, and a different number of values,
// count as an infinite difference.
struct Comparison {
  std::string name = {};  // "case0.actions"
  double max_abs_diff = 0;
  double mean_abs_diff = 0;
  double reference_abs_max = 0;
  bool passed = false;
};

// T: float or double.
template <typename T>
Comparison Compare(const std::vector<T>& values, const ReferenceTensor& reference,
                   const Tolerance& tolerance);

// What Pi0Model::Trace gave for an input against what the folder recorded for it, in the trace's
// order. A comparison passes up to `tolerance.max` times the largest reference value, or times 1 if
// that is smaller. Rows of masked prefix tokens are left out: they are meaningless.
std::vector<Comparison> CompareIntermediates(const std::vector<NamedArray>& trace,
                                             const GoldenModelCase& golden,
                                             const Tolerance& tolerance);

}  // namespace vlaserve
