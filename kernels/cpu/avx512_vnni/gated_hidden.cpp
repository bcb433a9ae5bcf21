#include "kernels/cpu/avx512_vnni/functions.h"
#include "kernels/cpu/avx512_vnni/tile.h"
#include "kernels/cpu/gated_epilogue.h"
#include "kernels/cpu/vector_avx512.h"

namespace vlaserve::kernels::avx512_vnni {
namespace {

constexpr int64_t kMaxTileColumns = 256;  // GatedHidden::block is at most as large

}  // namespace

void RunGatedHidden(const GatedHidden& problem, int64_t tile_begin, int64_t tile_end,
                    int64_t block_begin, int64_t block_end) {
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
        ComputeTile(problem.x, problem.gate, gate_steps, problem.gate_bias, block, panel,
                    gate + p * kPanelColumns, columns);
        ComputeTile(problem.x, problem.up, up_steps, problem.up_bias, block, panel,
                    up + p * kPanelColumns, columns);
      }
      FinishGatedTile<Floats>(problem, tile, blocks.begin(block), blocks.size(block), gate, up,
                              columns);
    }
  }
}

}  // namespace vlaserve::kernels::avx512_vnni
