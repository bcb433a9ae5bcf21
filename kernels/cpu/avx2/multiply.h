// The inner loops of the AVX2 GEMM: up to six rows times 16 features, accumulators in registers.
//
// Written in assembly with fixed registers: ymm0 … ymm11 accumulate, ymm12 and ymm13 hold weights,
// ymm14 and ymm15 an activation and products. g++ 12 spills accumulators when it allocates them.
#pragma once

#include <cstdint>

namespace vlaserve::kernels::avx2 {

inline constexpr int64_t kPassRows = 6;   // rows multiplied together
inline constexpr int64_t kRunDepth = 32;  // inputs of one run of MultiplyBytes

// sums[r][c] += Σ x w over kRunDepth inputs, for rows r < rows ≤ kPassRows and 16 features c.
// `x`: codes of 4 inputs of row r at x + 4 r, the next 4 inputs `stride` bytes further.
// `weights`: [8][16][4], 0 … 15, aligned to 32 bytes. Sums lie kPanelColumns apart per row, aligned
// to 32 bytes. Products are added in 16 bits: exact for 8 · 2 · 15 · 127 = 30480.
void MultiplyBytes(int64_t rows, const int8_t* x, int64_t stride, const uint8_t* weights,
                   int32_t* sums);

// The same over 2 · `pairs` inputs of 16 bits: `x` holds pairs (4 bytes per row), `weights`:
// [pairs][16][2], 0 … 255.
void MultiplyWords(int64_t rows, const int16_t* x, int64_t stride, const uint16_t* weights,
                   int64_t pairs, int32_t* sums);

}  // namespace vlaserve::kernels::avx2
