#include "kernels/cpu/gated_hidden.h"

#include "kernels/cpu/avx512_vnni/functions.h"
#include "kernels/cpu/avx512_vnni/tile.h"
#include "kernels/cpu/vector_avx512.h"

namespace vlaserve::kernels::avx512_vnni {

void RunGatedHidden(const GatedHidden& problem, int64_t tile_begin, int64_t tile_end,
                    int64_t block_begin, int64_t block_end) {
  ComputeGatedHidden<Floats, kMaxRows>(problem, tile_begin, tile_end, block_begin, block_end,
                                       ComputeTile);
}

}  // namespace vlaserve::kernels::avx512_vnni
