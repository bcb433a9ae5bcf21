// The kernels for AVX2, FMA and F16C: contracts in kernels/cpu/kernel_table.h.
#pragma once

#include "kernels/cpu/kernel_table.h"

namespace vlaserve::kernels::avx2 {

inline constexpr int64_t kMaxRows = 12;  // CpuKernels::max_rows

void RunGemm(const IntGemm& problem, int64_t panel_begin, int64_t panel_end, int64_t block_begin,
             int64_t block_end);
void RunGatedHidden(const GatedHidden& problem, int64_t tile_begin, int64_t tile_end,
                    int64_t block_begin, int64_t block_end);
int64_t RunQuantize(const ActivationPass& pass, const BlockedActivations& out, int64_t block_begin,
                    int64_t block_end, float* scratch);
void RunAttention(const Attention& problem, int64_t begin, int64_t end);

}  // namespace vlaserve::kernels::avx2
