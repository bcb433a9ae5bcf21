#include "kernels/int_gemm.h"

#include <algorithm>

#include "kernels/cpu/gemm_steps.h"
#include "kernels/quantize.h"

namespace vlaserve::kernels {
namespace {

int64_t WidthOf(int64_t columns, int64_t group) {
  return GroupCount(columns, group) == 1 ? columns : group;
}

}  // namespace

int64_t StepColumns(int64_t columns, int64_t weight_group, int64_t activation_group) {
  return std::min(WidthOf(columns, weight_group), WidthOf(columns, activation_group));
}

GemmSteps StepsOf(const BlockedActivations& x, const PanelWeights& weights) {
  const int64_t columns = x.columns;
  GemmSteps steps;
  steps.width = StepColumns(columns, weights.group, x.group);
  steps.count = GroupCount(columns, steps.width);
  steps.weight_groups = GroupCount(columns, weights.group);
  steps.input_groups = GroupCount(columns, x.group);
  steps.weight_steps = GroupCount(WidthOf(columns, weights.group), steps.width);
  steps.input_steps = GroupCount(WidthOf(columns, x.group), steps.width);
  steps.per_row = weights.group <= 0;
  steps.per_token = x.group <= 0;
  return steps;
}

}  // namespace vlaserve::kernels
