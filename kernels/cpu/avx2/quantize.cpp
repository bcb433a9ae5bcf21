#include "kernels/cpu/activation_rows.h"
#include "kernels/cpu/avx2/functions.h"
#include "kernels/cpu/vector_avx2.h"

namespace vlaserve::kernels::avx2 {

int64_t RunQuantize(const ActivationPass& pass, const BlockedActivations& out, int64_t block_begin,
                    int64_t block_end, float* scratch) {
  return QuantizeRows<Floats>(pass, out, block_begin, block_end, scratch);
}

}  // namespace vlaserve::kernels::avx2
