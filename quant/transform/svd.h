// Block rotations from singular vectors of the weight, as openpi_duquant defines them
// (README of the quantizer's golden data, §2.1). LibTorch only in the source.
//
// The left singular vectors U of X [B, n] are the eigenvectors of the Gram matrix X Xᵀ [B, B],
// which is all that is computed: accumulated and decomposed in double, then rounded to float32.
// Columns descend by singular value. A column's sign, which a decomposition leaves open, is chosen
// so that its entry of largest magnitude (the first one of equals) is positive. Within an
// eigenspace of equal singular values the basis is the decomposition's.
//
// Thread-safety: pure functions on the calling thread; they never spread over other threads by
// themselves, so that one layer per thread can be packed.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/io/status.h"

namespace vlaserve {

// R_b = U of svd(W[:, columns of block b]ᵀ) for each block of `block` columns of the permuted
// weight [n, k]: the rotations of x (x_block · R_b). `permutation` [k]: column c of the permuted
// weight is column permutation[c]; empty: as stored. The blocks' row-major matrices one after the
// other; the last one is smaller if `block` does not divide k.
//
// Errors: kInvalidArgument for NaN or Inf in the weight (row and column are named), for sizes that
// do not fit; kInternal for what LibTorch reports.
Result<std::vector<float>> WeightSvdRotations(std::span<const float> weight, int64_t n, int64_t k,
                                              std::span<const int32_t> permutation, int64_t block);

// U of svd(W[rows of block b, :]) for each block of `block` rows of W [n, k]: the output rotations
// (U · rows, and y_block · U to undo it). Same layout and errors.
Result<std::vector<float>> RowSvdRotations(std::span<const float> weight, int64_t n, int64_t k,
                                           int64_t block);

// U_b · H_b for rotations as WeightSvdRotations returns them, where H_b is the orthonormal
// Sylvester Hadamard matrix of the block's size: the SVD gathers energy, the Hadamard spreads it
// evenly. kInvalidArgument if a block's size is not a power of two.
Result<std::vector<float>> TimesHadamard(std::span<const float> rotations, int64_t columns,
                                         int64_t block);

}  // namespace vlaserve
