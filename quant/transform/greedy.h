// DuQuant's greedy rotation (arXiv 2406.01721, §3.2): outliers that calibration has seen are spread
// over their blocks one after the other.
//
// Thread-safety: pure function.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace vlaserve {

// One orthogonal row-major matrix R [block, block] for all blocks of x (x_block · R), from rows
// that the linear has seen: finite, row-major, of a width that `block` divides.
//
// R starts as the identity. Each of 256 steps looks for the largest |x| of all blocks' rows, swaps
// its column to the front, rotates the other columns at random (a uniformly distributed orthogonal
// matrix from the stream of GaussianNoise(step, …)) and applies the reflection that maps the first
// unit vector to 1/√block everywhere: the outlier is spread evenly. The R with the smallest largest
// |x| so far, the identity included, is returned; RᵀR = I within 1e-6.
//
// Of the blocks' rows those 2048 with the largest norms are looked at: a norm bounds what any
// rotation can make of a row.
std::vector<float> GreedyRotation(std::span<const float> samples, int64_t block);

}  // namespace vlaserve
