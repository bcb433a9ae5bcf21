// Quantization of weights and activations to integer codes: the portable definition.
//
// Formulas: golden int_oracle (README of the quantizer's golden data, §4). Results are bit-exact on
// every IEEE machine: no contraction, no dependence on FTZ, round half to even.
//
// Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace vlaserve {

// Number of groups of `group` columns; the last one may be short. `group` ≤ 0 (one per row or per
// token) or ≥ columns: one.
int64_t GroupCount(int64_t columns, int64_t group);

uint16_t Fp16FromFloat(float value);  // round to nearest even, subnormals kept
float FloatFromFp16(uint16_t bits);

// How a group's scale S is found. a = max|w|, Q = largest code, h = rounding to fp16; every other
// operation is one float32 operation.
//   kRtn         S = h(a / Q)
//   kClipSearch  S_k = h((a · r_k) / Q), r = ClipRatios()
//   kGrid5       S_k = h((a / Q) / d_k), d = 0.5, 0.75, 1, 1.25, 1.5: openpi_duquant's grid in this
//                format; an S_k that overflows fp16 is passed over
// Of several the one with the smallest Σ (w - q S_k)² wins, computed in double over ascending
// columns; the first of equals.
enum class WeightSearch { kRtn, kGrid5, kClipSearch };

// float32(1 - 0.02 k), k = 0 … 25.
std::span<const float> ClipRatios();

// Where a weight cannot be quantized.
struct WeightError {
  int64_t row = 0;
  int64_t column = 0;  // first of the group if the scale is what fails
  enum class Kind { kNotFinite, kScaleTooLarge } kind = Kind::kNotFinite;
};

// Rows of a weight [rows, columns] to codes and fp16 scales [rows, groups], one scale per row and
// group: q = clamp(rne(w / S)), 0 where S = 0. `bits` 2 … 8, symmetric: Q = 2^(b-1) - 1, range
// [-Q - 1, Q] below 8 bits, [-127, 127] at 8. `choice` (may be empty, else [rows, groups]) gets k.
// Errors are found row by row: NaN and Inf, and a / Q >= 65520. Nothing is to be used of the output
// if one is returned.
std::optional<WeightError> QuantizeWeights(const float* weight, int64_t rows, int64_t columns,
                                           int64_t bits, int64_t group, WeightSearch search,
                                           int8_t* codes, uint16_t* scales,
                                           std::span<int8_t> choice);

// Asymmetric: q = clamp(rne(w / S) + zero, 0, Q) with Q = 2^b - 1, S = h((max - min) / Q), where
// min ≤ 0 ≤ max, and zero = clamp(rne(-min / S), 0, Q); w ≈ (q - zero) · S; q = zero = 0 where
// S = 0. Searches scale as above: kClipSearch takes r_k · min and r_k · max for min and max, kGrid5
// divides (max - min) / Q by d_k.
std::optional<WeightError> QuantizeWeightsAsymmetric(const float* weight, int64_t rows,
                                                     int64_t columns, int64_t bits, int64_t group,
                                                     WeightSearch search, uint8_t* codes,
                                                     uint16_t* scales, uint8_t* zeros);

// codes int8 [rows, columns] → nibbles [rows, ceil(columns / 2)]: even column low, odd column high,
// padding 0; and back.
void PackNibbles(const int8_t* codes, int64_t rows, int64_t columns, uint8_t* packed);
void UnpackNibbles(const uint8_t* packed, int64_t rows, int64_t columns, int8_t* codes);

// Activations [rows, columns] → codes and float32 scales [rows, groups]: scale = max|x| / 127,
// codes = rne(x · (127 / max|x|)); a group below 2^-100 gets scale 0 and codes 0. `bits` 2 … 8: 127
// becomes 2^(b-1) - 1. Returns the first row that holds NaN or Inf, if there is one: nothing is to
// be used then.
std::optional<int64_t> QuantizeActivations(const float* x, int64_t rows, int64_t columns,
                                           int64_t bits, int64_t group, int8_t* codes,
                                           float* scales);

}  // namespace vlaserve
