// The integer kernels on LibTorch's threads. Includes nothing of LibTorch.
//
// Work is cut into pieces (panels or tiles × runs of row blocks) that threads take one by one, so
// that few rows and many rows keep all of them busy. Pieces are independent: results are the same
// bytes for any number of threads. Call from one thread at a time; not from within a parallel
// region.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/cpu/kernel_table.h"

namespace vlaserve {

// All problems in one go, as if they were one matrix: q, k and v, say.
void ParallelGemm(const kernels::CpuKernels& kernels, std::span<const kernels::IntGemm> problems);

void ParallelGatedHidden(const kernels::CpuKernels& kernels, const kernels::GatedHidden& problem);

// Returns the first row that holds NaN or Inf, or -1.
int64_t ParallelQuantize(const kernels::CpuKernels& kernels, const kernels::ActivationPass& pass,
                         const kernels::BlockedActivations& out);

}  // namespace vlaserve
