// Orders of a linear's input columns. A permutation p means: column c of the result is column p[c].
//
// Thread-safety: pure functions. Deterministic: sums in double over ascending rows, ties go to the
// lower index.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace vlaserve {

// openpi_duquant's order: columns by energy (Σ over rows of W²) as largest, smallest, second
// largest, second smallest … `weight`: finite, row-major [rows, columns].
std::vector<int32_t> WeightZigzag(std::span<const float> weight, int64_t rows, int64_t columns);

// DuQuant's order (arXiv 2406.01721, "zigzag permutation"): columns by `magnitudes` (max|x|),
// largest first, are dealt to the blocks of `block` columns forward, backward, forward …, so that
// every block gets its share of outliers. A shorter last block is passed over once it is full.
std::vector<int32_t> ActivationSnake(std::span<const float> magnitudes, int64_t block);

}  // namespace vlaserve
