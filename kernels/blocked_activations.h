// Quantized activations in the layout that the integer GEMM reads.
//
// Rows are cut into blocks of at most `max_rows`, as many as the GEMM's registers hold, sizes
// balanced (51 rows by 13: 13, 13, 13, 12). Block b holds its codes as [K / 4][rows of b][4] with K
// filled up to PaddedDepth with zeros, so that a GEMM reads it as one stream.
//
// Thread-safety: plain data.
#pragma once

#include <cstdint>
#include <memory>

namespace vlaserve::kernels {

// How rows are cut.
class RowBlocks {
 public:
  RowBlocks(int64_t rows, int64_t max_rows)
      : count_((rows + max_rows - 1) / max_rows),
        base_(count_ == 0 ? 0 : rows / count_),
        longer_(count_ == 0 ? 0 : rows % count_) {}

  int64_t count() const { return count_; }
  int64_t begin(int64_t block) const { return block * base_ + (block < longer_ ? block : longer_); }
  int64_t size(int64_t block) const { return base_ + (block < longer_ ? 1 : 0); }

 private:
  int64_t count_;
  int64_t base_;    // rows of a short block
  int64_t longer_;  // the first so many have one more
};

// Views. `group`: columns per scale, a multiple of 32; 0: one scale per token
// (kernels/int_linear.h: one that spans all columns is not the same as 0). `step`: columns per sum,
// the smaller of the two groups of weight and activation: a multiple of 32, or `columns` for a
// single sum.
struct BlockedActivations {
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t group = 0;
  int64_t step = 0;
  int64_t max_rows = 0;     // as the CpuKernels that compute with it say
  int8_t* codes = nullptr;  // rows * PaddedDepth(columns), aligned to 64 bytes; block b begins at
                            // begin(b) * PaddedDepth(columns)
  float* scales = nullptr;  // [rows, GroupCount(columns, group)]
  int32_t* sums = nullptr;  // [rows, ceil(columns / step)]: Σ codes over each step

  RowBlocks blocks() const { return {rows, max_rows}; }
};

// Their memory. Contents are undefined until written.
class BlockedBuffer {
 public:
  BlockedBuffer() = default;
  BlockedBuffer(int64_t rows, int64_t columns, int64_t group, int64_t step, int64_t max_rows);

  const BlockedActivations& view() const { return view_; }

 private:
  struct Free {
    void operator()(void* memory) const;
  };
  BlockedActivations view_;
  std::unique_ptr<void, Free> memory_;
};

// Codes [rows, columns] row-major out of a block layout: for tests and checks.
void UnblockCodes(const BlockedActivations& x, int8_t* codes);

}  // namespace vlaserve::kernels
