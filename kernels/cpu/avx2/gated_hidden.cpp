#include "kernels/cpu/gated_hidden.h"

#include "kernels/cpu/avx2/functions.h"
#include "kernels/cpu/avx2/gemm.h"
#include "kernels/cpu/vector_avx2.h"

namespace vlaserve::kernels::avx2 {

void RunGatedHidden(const GatedHidden& problem, int64_t tile_begin, int64_t tile_end,
                    int64_t block_begin, int64_t block_end) {
  ComputeGatedHidden<Floats, kMaxRows>(problem, tile_begin, tile_end, block_begin, block_end,
                                       ComputeTile);
}

}  // namespace vlaserve::kernels::avx2
