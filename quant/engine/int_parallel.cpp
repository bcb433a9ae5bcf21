#include "quant/engine/int_parallel.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <memory>

#include <ATen/Parallel.h>
#include <c10/core/impl/alloc_cpu.h>

namespace vlaserve {
namespace {

using kernels::CpuKernels;
using kernels::PanelCount;

// Pieces per thread, where there are enough rows: a thread that loses its core for a while, or a
// piece that costs more than another, then delays the others by little.
constexpr int64_t kPiecesPerThread = 16;

// Calls run(piece) for every piece in [0, count), from all threads, each piece once.
template <typename Run>
void ForEachPiece(int64_t count, const Run& run) {
  const int64_t threads = std::min<int64_t>(at::get_num_threads(), count);
  std::atomic<int64_t> next = 0;
  at::parallel_for(0, threads, 1, [&](int64_t, int64_t) {
    for (int64_t piece = next++; piece < count; piece = next++) run(piece);
  });
}

// `columns` panels or tiles × runs of `blocks` row blocks.
class Grid {
 public:
  Grid(int64_t columns, int64_t blocks, int64_t pieces_wanted)
      : blocks_(blocks),
        runs_(std::clamp<int64_t>((pieces_wanted + columns - 1) / std::max<int64_t>(1, columns), 1,
                                  std::max<int64_t>(1, blocks))),
        pieces_(blocks == 0 ? 0 : columns * runs_) {}

  int64_t pieces() const { return pieces_; }

  // run(column, block_begin, block_end)
  template <typename Run>
  void At(int64_t piece, const Run& run) const {
    const int64_t part = piece % runs_;
    run(piece / runs_, blocks_ * part / runs_, blocks_ * (part + 1) / runs_);
  }

 private:
  int64_t blocks_;
  int64_t runs_;  // per column
  int64_t pieces_;
};

int64_t PiecesWanted() { return kPiecesPerThread * at::get_num_threads(); }

}  // namespace

void ParallelGemm(const CpuKernels& kernels, std::span<const kernels::IntGemm> problems) {
  int64_t panels = 0;
  for (const kernels::IntGemm& problem : problems)
    panels += PanelCount(problem.weights.out_features);
  if (panels == 0) return;
  // Problems of one call share their activations, hence the row blocks.
  const Grid grid(panels, problems.front().x.blocks().count(), PiecesWanted());
  ForEachPiece(grid.pieces(), [&](int64_t piece) {
    grid.At(piece, [&](int64_t panel, int64_t block_begin, int64_t block_end) {
      size_t i = 0;
      for (; panel >= PanelCount(problems[i].weights.out_features); ++i) {
        panel -= PanelCount(problems[i].weights.out_features);
      }
      kernels.gemm(problems[i], panel, panel + 1, block_begin, block_end);
    });
  });
}

void ParallelGatedHidden(const CpuKernels& kernels, const kernels::GatedHidden& problem) {
  const int64_t width = kernels::GatedTileColumns(problem.block);
  const int64_t tiles = (problem.gate.out_features + width - 1) / width;
  const Grid grid(tiles, problem.x.blocks().count(), PiecesWanted());
  ForEachPiece(grid.pieces(), [&](int64_t piece) {
    grid.At(piece, [&](int64_t tile, int64_t block_begin, int64_t block_end) {
      kernels.gated_hidden(problem, tile, tile + 1, block_begin, block_end);
    });
  });
}

int64_t ParallelQuantize(const CpuKernels& kernels, const kernels::ActivationPass& pass,
                         const kernels::BlockedActivations& out) {
  const int64_t blocks = out.blocks().count();
  constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
  std::atomic<int64_t> first_bad = kNone;
  std::atomic<int64_t> next = 0;
  const int64_t threads = std::min<int64_t>(at::get_num_threads(), blocks);
  at::parallel_for(0, threads, 1, [&](int64_t, int64_t) {
    const auto floats = static_cast<size_t>(kernels::ActivationScratch(out.columns, out.max_rows));
    const std::unique_ptr<void, void (*)(void*)> scratch(c10::alloc_cpu(floats * sizeof(float)),
                                                         c10::free_cpu);
    for (int64_t block = next++; block < blocks; block = next++) {
      const int64_t bad =
          kernels.quantize(pass, out, block, block + 1, static_cast<float*>(scratch.get()));
      if (bad < 0) continue;
      int64_t first = first_bad.load();
      while (bad < first && !first_bad.compare_exchange_weak(first, bad)) {
      }
    }
  });
  return first_bad == kNone ? -1 : first_bad.load();
}

}  // namespace vlaserve
