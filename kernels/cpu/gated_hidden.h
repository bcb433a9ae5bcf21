// CpuKernels::gated_hidden as a template: contract in kernels/cpu/kernel_table.h.
#pragma once

#include <cstdint>

#include "kernels/cpu/gated_epilogue.h"
#include "kernels/cpu/gemm_steps.h"

namespace vlaserve::kernels {

// V: the vector type of the instruction set. compute_tile: its ComputeTile, the outputs of one
// panel for one row block (cpu/*/gemm.h, tile.h).
template <class V, int64_t kMaxRows, class ComputeTile>
inline void ComputeGatedHidden(const GatedHidden& problem, int64_t tile_begin, int64_t tile_end,
                               int64_t block_begin, int64_t block_end, ComputeTile compute_tile) {
  constexpr int64_t kMaxTileColumns = 256;  // FitsGatedTile
  const GemmSteps gate_steps = StepsOf(problem.x, problem.gate);
  const GemmSteps up_steps = StepsOf(problem.x, problem.up);
  const RowBlocks blocks = problem.x.blocks();
  const int64_t columns = GatedTileColumns(problem.block);
  const int64_t panels = columns / kPanelColumns;
  const int64_t all_panels = PanelCount(problem.gate.out_features);
  alignas(64) float gate[kMaxRows * kMaxTileColumns];
  alignas(64) float up[kMaxRows * kMaxTileColumns];
  for (int64_t tile = tile_begin; tile < tile_end; ++tile) {
    for (int64_t block = block_begin; block < block_end; ++block) {
      for (int64_t p = 0; p < panels && tile * panels + p < all_panels; ++p) {
        const int64_t panel = tile * panels + p;
        compute_tile(problem.x, problem.gate, gate_steps, problem.gate_bias, block, panel,
                     gate + p * kPanelColumns, columns);
        compute_tile(problem.x, problem.up, up_steps, problem.up_bias, block, panel,
                     up + p * kPanelColumns, columns);
      }
      FinishGatedTile<V>(problem, tile, blocks.begin(block), blocks.size(block), gate, up, columns);
    }
  }
}

}  // namespace vlaserve::kernels
