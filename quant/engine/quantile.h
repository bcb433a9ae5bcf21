// Percentiles of activations, exactly as torch.quantile of float32 data gives them.
//
// Rule (README of the quantizer's golden data, §2.4), each operation in float32: rank =
// (percentile / 100) · (rows - 1); a, b = the values of rank floor(rank) and ceil(rank);
// w = rank - floor(rank); d = b - a; w < 0.5: fma(w, d, a), else fma(-d, 1 - w, b).
//
// Thread-safety: pure functions on the calling thread.
#pragma once

#include <cstdint>
#include <vector>

namespace vlaserve {

// The percentile (0 … 100) of each column of x [rows, columns], row-major, rows ≥ 1. A column that
// holds a NaN gives NaN; Inf next to a finite value gives NaN or Inf by the rule above.
std::vector<float> ColumnQuantiles(const float* x, int64_t rows, int64_t columns,
                                   double percentile);

}  // namespace vlaserve
