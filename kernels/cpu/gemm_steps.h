// How the columns of a layer are cut into steps, and which scales a step takes (the table of
// kernels/int_linear.h).
//
// Thread-safety: pure functions.
#pragma once

#include <cstdint>

#include "kernels/blocked_activations.h"
#include "kernels/panels.h"

namespace vlaserve::kernels {

struct GemmSteps {
  int64_t width = 0;  // columns per step; the last one may be short
  int64_t count = 0;
  int64_t weight_groups = 0;  // scales per output feature
  int64_t input_groups = 0;   // scales per row
  // Step i takes the weight's scale i / weight_steps and the activation's i / input_steps.
  int64_t weight_steps = 0;
  int64_t input_steps = 0;
  bool per_row = false;    // weights: one scale per output feature
  bool per_token = false;  // activations: one scale per row
};

// Not inline: every instruction set shares this one copy.
GemmSteps StepsOf(const BlockedActivations& x, const PanelWeights& weights);

}  // namespace vlaserve::kernels
