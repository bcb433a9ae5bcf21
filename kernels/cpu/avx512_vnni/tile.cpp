#include "kernels/cpu/avx512_vnni/tile.h"

#include "kernels/cpu/avx512_vnni/dot.h"
#include "kernels/cpu/avx512_vnni/functions.h"

namespace vlaserve::kernels::avx512_vnni {
namespace {

// What a tile computes from: everything from its first row and panel column on.
struct TileInput {
  const GemmSteps& steps;
  int64_t columns = 0;              // padded
  const int8_t* x = nullptr;        // [columns / 4][rows][4]
  const int32_t* sums = nullptr;    // [rows, steps]
  const float* x_scales = nullptr;  // [rows, input_groups]
  const uint8_t* codes = nullptr;
  const uint16_t* scales = nullptr;  // fp16 [weight_groups][kPanelColumns]
};

VLASERVE_ALWAYS_INLINE __m512 LoadScales(const uint16_t* scales) {
  return _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(scales)));
}

// t = fma(f, scale, t).
VLASERVE_ALWAYS_INLINE void AddStep(__m512i sum, __m512 scale, float* t) {
  _mm512_store_ps(t, _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), scale, _mm512_load_ps(t)));
}

// Which scales a step multiplies by: the rows of the table in kernels/int_linear.h.
enum class StepScale { kWeight, kInput, kProduct };

// Adds all steps of the table to tile [kRows][kPanelColumns]; what stands under "end" is left. One
// function per combination: with several in one, g++ 12 runs out of registers.
template <int kRows, int kBits, StepScale kScale>
void AddSteps(const TileInput& in, float* tile) {
  // A copy, because stores of vectors may change everything that has an address.
  const GemmSteps steps = in.steps;
  const int8_t* x = in.x;
  const uint8_t* codes = in.codes;
  int64_t left = in.columns;
  for (int64_t step = 0; step < steps.count; ++step) {
    // The tile stays in L1. g++ would carry it in registers from step to step, and spill them.
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    const int64_t columns = step + 1 < steps.count ? steps.width : left;
    Sums<kRows> acc;
    BeginSums<kRows, kBits>(in.sums + step, steps.count, acc);
    AddColumns<kRows, kBits>(x, codes, columns, acc);
    x += columns * kRows;
    codes += columns * kPanelColumns * kBits / 8;
    left -= columns;

    // Only where both have groups can one scale belong to several steps.
    constexpr bool kProduct = kScale == StepScale::kProduct;
    const int64_t weight_group = kProduct ? step / steps.weight_steps : step;
    const float* x_scale = in.x_scales + (kProduct ? step / steps.input_steps : step);
    __m512 scale[2];
    if constexpr (kScale != StepScale::kInput) {
      scale[0] = LoadScales(in.scales + weight_group * kPanelColumns);
      scale[1] = LoadScales(in.scales + weight_group * kPanelColumns + kHalf);
    }
    float* t = tile;
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      if constexpr (kScale != StepScale::kWeight) {
        const __m512 input = _mm512_set1_ps(*x_scale);
        AddStep(acc.of[r][0], kProduct ? _mm512_mul_ps(input, scale[0]) : input, t);
        AddStep(acc.of[r][1], kProduct ? _mm512_mul_ps(input, scale[1]) : input, t + kHalf);
      } else {
        AddStep(acc.of[r][0], scale[0], t);
        AddStep(acc.of[r][1], scale[1], t + kHalf);
      }
      x_scale += steps.input_groups;
      t += kPanelColumns;
    }
  }
}

// The column "end" of the table and the bias, for one half of the panel. `bias`: of its first
// feature, or null. Row r goes to out + r * stride.
void Finish(const TileInput& in, int64_t rows, int64_t half, const float* bias, __mmask16 features,
            const float* tile, float* out, int64_t stride) {
  const GemmSteps steps = in.steps;
  const __m512 added =
      bias == nullptr ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(features, bias);
  const __m512 row_scales = LoadScales(in.scales + half * kHalf);
  for (int64_t r = 0; r < rows; ++r) {
    __m512 y = _mm512_load_ps(tile + r * kPanelColumns + half * kHalf);
    if (steps.per_token || steps.per_row) {
      const __m512 scale =
          steps.per_token ? _mm512_set1_ps(in.x_scales[r * steps.input_groups]) : row_scales;
      y = bias == nullptr ? _mm512_mul_ps(y, scale) : _mm512_fmadd_ps(y, scale, added);
    } else if (bias != nullptr) {
      y = _mm512_add_ps(y, added);
    }
    _mm512_store_ps(out + r * stride + half * kHalf, y);
  }
}

using AddStepsFunction = void (*)(const TileInput& in, float* tile);

template <int kBits, StepScale kScale>
AddStepsFunction ForRows(int64_t rows) {
  static constexpr AddStepsFunction kFunctions[kMaxRows] = {
      AddSteps<1, kBits, kScale>,  AddSteps<2, kBits, kScale>,  AddSteps<3, kBits, kScale>,
      AddSteps<4, kBits, kScale>,  AddSteps<5, kBits, kScale>,  AddSteps<6, kBits, kScale>,
      AddSteps<7, kBits, kScale>,  AddSteps<8, kBits, kScale>,  AddSteps<9, kBits, kScale>,
      AddSteps<10, kBits, kScale>, AddSteps<11, kBits, kScale>, AddSteps<12, kBits, kScale>,
      AddSteps<13, kBits, kScale>};
  return kFunctions[rows - 1];
}

template <int kBits>
AddStepsFunction ForSteps(const GemmSteps& steps, int64_t rows) {
  if (steps.per_token) return ForRows<kBits, StepScale::kWeight>(rows);
  if (steps.per_row) return ForRows<kBits, StepScale::kInput>(rows);
  return ForRows<kBits, StepScale::kProduct>(rows);
}

}  // namespace

void ComputeTile(const BlockedActivations& x, const PanelWeights& weights, const GemmSteps& steps,
                 const float* bias, int64_t block, int64_t panel, float* tile, int64_t stride) {
  const RowBlocks blocks = x.blocks();
  const int64_t first = blocks.begin(block);
  const int64_t rows = blocks.size(block);
  const int64_t columns = PaddedDepth(x.columns);
  const TileInput in = {
      .steps = steps,
      .columns = columns,
      .x = x.codes + first * columns,
      .sums = x.sums + first * steps.count,
      .x_scales = x.scales + first * steps.input_groups,
      .codes = weights.codes + panel * PanelCodeBytes(weights.in_features, weights.bits),
      .scales = weights.scales + panel * steps.weight_groups * kPanelColumns};
  alignas(64) float unscaled[kMaxRows * kPanelColumns];
  for (int64_t i = 0; i < rows * kPanelColumns; i += kHalf) {
    _mm512_store_ps(unscaled + i, _mm512_setzero_ps());
  }
  (weights.bits == 4 ? ForSteps<4> : ForSteps<8>)(steps, rows)(in, unscaled);
  for (int64_t half = 0; half < 2; ++half) {
    const int64_t n = panel * kPanelColumns + half * kHalf;
    Finish(in, rows, half, bias == nullptr ? nullptr : bias + n,
           FeatureMask(weights.out_features - n), unscaled, tile, stride);
  }
}

}  // namespace vlaserve::kernels::avx512_vnni
