#include <cstring>

#include <immintrin.h>

#include "kernels/cpu/avx2/functions.h"
#include "kernels/cpu/avx2/gemm.h"
#include "kernels/cpu/avx2/multiply.h"

namespace vlaserve::kernels::avx2 {
namespace {

constexpr int64_t kHalf = kPanelColumns / 2;  // features multiplied together
constexpr int64_t kWordDepth = 128;           // inputs widened to 16 bits at a time
constexpr int64_t kPrefetch = 1024;           // bytes of codes ahead

int64_t Min(int64_t a, int64_t b) { return a < b ? a : b; }

struct alignas(64) Sums {
  int32_t of[kMaxRows][kPanelColumns];
};

// A row block's codes.
struct Inputs {
  const int8_t* codes = nullptr;  // [K / 4][rows][4]
  int64_t rows = 0;
};

__m256i LoadBytes(const uint8_t* p) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(p));
}
void StoreBytes(void* p, __m256i v) { _mm256_store_si256(static_cast<__m256i*>(p), v); }

// Rows in passes of about equal size.
template <typename Multiply>
void ForPasses(int64_t rows, Multiply multiply) {
  int64_t passes = (rows + kPassRows - 1) / kPassRows;
  for (int64_t begin = 0; begin < rows; --passes) {
    const int64_t count = (rows - begin + passes - 1) / passes;
    multiply(begin, count);
    begin += count;
  }
}

// 4 bits, kRunDepth inputs or less (a multiple of kPanelDepth; `x` then has zeros behind them).
// `codes`: their first piece.
void AddNibbles(const Inputs& x, const uint8_t* codes, int64_t depth, Sums* sums) {
  const __m256i mask = _mm256_set1_epi8(0xF);
  alignas(32) uint8_t weights[kRunDepth * kHalf];
  for (int64_t half = 0; half < 2; ++half) {
    for (int64_t k = 0; k < kRunDepth; k += kPanelDepth) {
      uint8_t* const out = weights + k * kHalf;
      if (k >= depth) {
        for (int64_t i = 0; i < 128; i += 32) StoreBytes(out + i, _mm256_setzero_si256());
        continue;
      }
      const uint8_t* const piece = codes + k * kHalf + half * 64;
      _mm_prefetch(reinterpret_cast<const char*>(piece + kPrefetch), _MM_HINT_T0);
      const __m256i a = LoadBytes(piece);
      const __m256i b = LoadBytes(piece + 32);
      StoreBytes(out, _mm256_and_si256(a, mask));
      StoreBytes(out + 32, _mm256_and_si256(b, mask));
      StoreBytes(out + 64, _mm256_and_si256(_mm256_srli_epi16(a, 4), mask));
      StoreBytes(out + 96, _mm256_and_si256(_mm256_srli_epi16(b, 4), mask));
    }
    ForPasses(x.rows, [&](int64_t row, int64_t count) {
      MultiplyBytes(count, x.codes + 4 * row, 4 * x.rows, weights, sums->of[row] + half * kHalf);
    });
  }
}

void AccumulateNibbles(const Inputs& x, const uint8_t* panel, int64_t begin, int64_t end,
                       Sums* sums) {
  int64_t k = begin;
  for (; k + kRunDepth <= end; k += kRunDepth) {
    AddNibbles({x.codes + k * x.rows, x.rows}, panel + k * kHalf, kRunDepth, sums);
  }
  if (k == end) return;
  alignas(32) int8_t codes[kRunDepth * kMaxRows] = {};
  std::memcpy(codes, x.codes + k * x.rows, static_cast<size_t>((end - k) * x.rows));
  AddNibbles({codes, x.rows}, panel + k * kHalf, end - k, sums);
}

// Codes of 4 inputs to two pairs of 16 bits: inputs 0 and 2 of all quads, then 1 and 3, as weights
// are widened. `bytes` of codes.
void WidenInputs(const int8_t* codes, int64_t bytes, int16_t* pairs) {
  int16_t* const odd = pairs + bytes / 2;
  int64_t i = 0;
  for (; i + 32 <= bytes; i += 32) {
    const __m256i four = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + i));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(pairs + i / 2),
                        _mm256_srai_epi16(_mm256_slli_epi16(four, 8), 8));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(odd + i / 2), _mm256_srai_epi16(four, 8));
  }
  for (; i < bytes; i += 2) {
    pairs[i / 2] = codes[i];
    odd[i / 2] = codes[i + 1];
  }
}

// 8 bits, [begin, end): multiples of 4.
void AccumulateBytes(const Inputs& x, const uint8_t* panel, int64_t begin, int64_t end,
                     Sums* sums) {
  const __m256i low = _mm256_set1_epi16(0xFF);
  alignas(32) uint16_t weights[kWordDepth * kHalf];
  alignas(32) int16_t pairs[kWordDepth * kMaxRows];
  for (int64_t k = begin; k < end; k += kWordDepth) {
    const int64_t depth = Min(kWordDepth, end - k);
    WidenInputs(x.codes + k * x.rows, depth * x.rows, pairs);
    for (int64_t half = 0; half < 2; ++half) {
      uint16_t* const odd = weights + depth / 2 * kHalf;
      for (int64_t i = 0; i < depth; i += 4) {
        const uint8_t* const piece = panel + (k + i) * kPanelColumns + half * 64;
        _mm_prefetch(reinterpret_cast<const char*>(piece + kPrefetch), _MM_HINT_T0);
        const __m256i a = LoadBytes(piece);
        const __m256i b = LoadBytes(piece + 32);
        StoreBytes(weights + i / 2 * kHalf, _mm256_and_si256(a, low));
        StoreBytes(weights + i / 2 * kHalf + 16, _mm256_and_si256(b, low));
        StoreBytes(odd + i / 2 * kHalf, _mm256_srli_epi16(a, 8));
        StoreBytes(odd + i / 2 * kHalf + 16, _mm256_srli_epi16(b, 8));
      }
      ForPasses(x.rows, [&](int64_t row, int64_t count) {
        MultiplyWords(count, pairs + 2 * row, 4 * x.rows, weights, depth / 2,
                      sums->of[row] + half * kHalf);
      });
    }
  }
}

// The fp16 scales of 8 features.
__m256 LoadScales(const uint16_t* scales) {
  return _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(scales)));
}

// t = fma(sum, scale, t) for `rows` rows; `input_scales` of a row lie `distance` apart.
template <bool kPerToken, bool kPerRow>
void AddStep(const Sums& sums, int64_t rows, const uint16_t* weight_scales,
             const float* input_scales, int64_t distance, bool first, float* tile, int64_t stride) {
  __m256 scales[kPanelColumns / 8];
  for (int64_t i = 0; i < kPanelColumns / 8; ++i) scales[i] = LoadScales(weight_scales + 8 * i);
  for (int64_t r = 0; r < rows; ++r) {
    const __m256 input = _mm256_set1_ps(input_scales[r * distance]);
    float* const t = tile + r * stride;
    for (int64_t i = 0; i < kPanelColumns / 8; ++i) {
      const __m256 f = _mm256_cvtepi32_ps(
          _mm256_load_si256(reinterpret_cast<const __m256i*>(sums.of[r] + 8 * i)));
      const __m256 scale =
          kPerToken ? scales[i] : (kPerRow ? input : _mm256_mul_ps(input, scales[i]));
      const __m256 before = first ? _mm256_setzero_ps() : _mm256_load_ps(t + 8 * i);
      _mm256_store_ps(t + 8 * i, _mm256_fmadd_ps(f, scale, before));
    }
  }
}

// The last column of the table in kernels/int_linear.h.
void Finish(const GemmSteps& steps, const uint16_t* weight_scales, float input_scale,
            const float* bias, float* t) {
  const __m256 input = _mm256_set1_ps(input_scale);
  for (int64_t c = 0; c < kPanelColumns; c += 8) {
    __m256 y = _mm256_load_ps(t + c);
    const bool scaled = steps.per_token || steps.per_row;
    const __m256 scale = steps.per_token ? input : LoadScales(weight_scales + c);
    if (bias == nullptr) {
      if (scaled) y = _mm256_mul_ps(y, scale);
    } else {
      const __m256 b = _mm256_load_ps(bias + c);
      y = scaled ? _mm256_fmadd_ps(y, scale, b) : _mm256_add_ps(y, b);
    }
    _mm256_store_ps(t + c, y);
  }
}

}  // namespace

void ComputeTile(const BlockedActivations& x, const PanelWeights& weights, const GemmSteps& steps,
                 const float* bias, int64_t block, int64_t panel, float* tile, int64_t stride) {
  const RowBlocks blocks = x.blocks();
  const int64_t first = blocks.begin(block);
  const int64_t rows = blocks.size(block);
  const int64_t depth = PaddedDepth(x.columns);
  const Inputs inputs = {x.codes + first * depth, rows};
  const uint8_t* const codes =
      weights.codes + panel * PanelCodeBytes(weights.in_features, weights.bits);
  const uint16_t* const weight_scales =
      weights.scales + panel * steps.weight_groups * kPanelColumns;
  const float* const input_scales = x.scales + first * steps.input_groups;
  const int32_t* const input_sums = x.sums + first * steps.count;
  const auto code_bias = _mm256_set1_epi32(-CodeBias(weights.bits));

  Sums sums;
  for (int64_t step = 0; step < steps.count; ++step) {
    for (int64_t r = 0; r < rows; ++r) {
      const __m256i sum =
          _mm256_mullo_epi32(code_bias, _mm256_set1_epi32(input_sums[r * steps.count + step]));
      for (int64_t c = 0; c < kPanelColumns; c += 8) StoreBytes(sums.of[r] + c, sum);
    }
    const int64_t begin = step * steps.width;
    const int64_t end = step + 1 == steps.count ? depth : begin + steps.width;
    if (weights.bits == 4) {
      AccumulateNibbles(inputs, codes, begin, end, &sums);
    } else {
      AccumulateBytes(inputs, codes, begin, end, &sums);
    }
    const uint16_t* const scales = weight_scales + step / steps.weight_steps * kPanelColumns;
    const auto add = steps.per_token ? AddStep<true, false>
                     : steps.per_row ? AddStep<false, true>
                                     : AddStep<false, false>;
    add(sums, rows, scales, input_scales + step / steps.input_steps, steps.input_groups, step == 0,
        tile, stride);
  }

  alignas(32) float panel_bias[kPanelColumns] = {};
  if (bias != nullptr) {
    const int64_t n = panel * kPanelColumns;
    std::memcpy(panel_bias, bias + n,
                static_cast<size_t>(Min(kPanelColumns, weights.out_features - n)) * sizeof(float));
  }
  for (int64_t r = 0; r < rows; ++r) {
    Finish(steps, weight_scales, input_scales[r * steps.input_groups],
           bias == nullptr ? nullptr : panel_bias, tile + r * stride);
  }
}

}  // namespace vlaserve::kernels::avx2
