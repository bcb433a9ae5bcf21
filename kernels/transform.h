// Transforms of rows before they are quantized: Hadamard blocks, dense block rotations,
// permutation, smoothing. Raw float32 buffers, row-major [rows, columns].
//
// Definitions: golden int_oracle (README of the quantizer's golden data, §4 "Transform"). Every
// elementary operation is one IEEE float32 operation in the stated order (no contraction), so that
// weights and activations see the same arithmetic on every machine.
//
// Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <span>

namespace vlaserve {

// In place: for h = 1, 2, 4 … block/2 and all pairs (j, j + h) of a block:
// (a, b) → (a + b, a - b); then everything times float32(1 / sqrt(block)). Natural Sylvester order.
// `block`: a power of two that divides `columns`; 1: nothing happens.
void HadamardRows(float* rows, int64_t row_count, int64_t columns, int64_t block);

// out[r, c] = in[r, c] · R_b, block after block: each product accumulated in float32 over ascending
// rows of R_b. `rotations`: one row-major matrix per block, or one for all if `shared`; the last
// block may be shorter (its matrix then is as small). `in` and `out` must not overlap.
void RotateRows(const float* in, float* out, int64_t row_count, int64_t columns, int64_t block,
                std::span<const float> rotations, bool shared);

// In place: the rows of block b become R_b · (rows of block b), block after block of `block` rows;
// same sums, ascending over the columns of R_b. The last block may be shorter.
void RotateRowBlocks(float* rows, int64_t row_count, int64_t columns, int64_t block,
                     std::span<const float> rotations);

// out[r, c] = in[r, permutation[c]]. No overlap.
void PermuteColumns(const float* in, float* out, int64_t row_count, int64_t columns,
                    std::span<const int32_t> permutation);

// In place: rows[r, c] *= factors[c].
void ScaleColumns(float* rows, int64_t row_count, int64_t columns, std::span<const float> factors);

}  // namespace vlaserve
