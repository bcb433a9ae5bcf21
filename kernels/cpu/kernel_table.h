// The kernels of one instruction set. Each set has a folder here; kernels/README.md says how they
// work.
//
// Code of a set is compiled with that set's flags and must not be reached on a processor without
// it: only through KernelsFor. No inline function that other files share may be emitted there (the
// linker keeps one copy of it, for everybody): tests/kernels checks the object files.
#pragma once

#include <cstdint>

#include "kernels/activation_pass.h"
#include "kernels/attention.h"
#include "kernels/int_gemm.h"
#include "kernels/isa.h"

namespace vlaserve::kernels {

struct CpuKernels {
  Isa isa = Isa::kPortable;
  int64_t max_rows = 0;  // of a block of BlockedActivations

  // Panels [panel_begin, panel_end) × row blocks [block_begin, block_end).
  void (*gemm)(const IntGemm& problem, int64_t panel_begin, int64_t panel_end, int64_t block_begin,
               int64_t block_end) = nullptr;

  // Tiles [tile_begin, tile_end) × row blocks [block_begin, block_end).
  void (*gated_hidden)(const GatedHidden& problem, int64_t tile_begin, int64_t tile_end,
                       int64_t block_begin, int64_t block_end) = nullptr;

  // Row blocks [block_begin, block_end) into `out`. `scratch`: ActivationScratch floats, aligned to
  // 64 bytes, of this call alone. Returns the first row that holds NaN or Inf, else -1; nothing is
  // to be used of `out` then.
  int64_t (*quantize)(const ActivationPass& pass, const BlockedActivations& out,
                      int64_t block_begin, int64_t block_end, float* scratch) = nullptr;

  // Work items [begin, end) of AttentionItems.
  void (*attention)(const Attention& problem, int64_t begin, int64_t end) = nullptr;
};

// Precondition: CpuRuns(isa).
const CpuKernels& KernelsFor(Isa isa);

}  // namespace vlaserve::kernels
