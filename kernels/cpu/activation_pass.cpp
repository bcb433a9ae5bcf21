#include "kernels/activation_pass.h"

#include "kernels/cpu/activation_scratch.h"

namespace vlaserve::kernels {

int64_t ActivationScratch(int64_t columns, int64_t max_rows) {
  return (2 * max_rows + kMostRotatedRows) * ActivationStride(columns);
}

}  // namespace vlaserve::kernels
