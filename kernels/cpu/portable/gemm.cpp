#include "kernels/cpu/portable/gemm.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/portable/bfloat16.h"
#include "kernels/cpu/portable/functions.h"
#include "kernels/quantize.h"

namespace vlaserve::kernels::portable {
namespace {

constexpr int64_t kChunk = 256;  // inputs widened at a time: weights and activations stay in L1

// Codes of some inputs, widened and contiguous per feature and row, so that a dot product is one
// loop that compilers turn into multiply-add instructions.
struct Chunk {
  int64_t count = 0;
  int16_t weights[kPanelColumns][kChunk];
  int16_t inputs[kMaxRows][kChunk];
};

// `begin`: a multiple of 4 (8 bits) or 8 (4 bits).
void ReadWeights(const uint8_t* panel, int64_t bits, int64_t begin, Chunk* chunk) {
  const int64_t depth = bits == 4 ? 8 : 4;  // inputs in a piece of 64 bytes
  for (int64_t k = 0; k < chunk->count; ++k) {
    const int64_t at = begin + k;
    const uint8_t* const piece = panel + at / depth * 128 + at % 4;
    const int shift = at % depth >= 4 ? 4 : 0;
    const int mask = bits == 4 ? 0xF : 0xFF;
    for (int64_t c = 0; c < kPanelColumns; ++c) {
      const int code = piece[4 * c] >> shift & mask;
      chunk->weights[c][k] = static_cast<int16_t>(code - CodeBias(bits));
    }
  }
}

void ReadInputs(const int8_t* codes, int64_t rows, int64_t begin, Chunk* chunk) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t k = 0; k < chunk->count; ++k) {
      const int64_t at = begin + k;
      chunk->inputs[r][k] = codes[(at / 4 * rows + r) * 4 + at % 4];
    }
  }
}

// sums[c] += Σ inputs · weights of four features.
void AddDots(const int16_t* inputs, const int16_t (*weights)[kChunk], int64_t count,
             int32_t* sums) {
  int32_t s0 = 0;
  int32_t s1 = 0;
  int32_t s2 = 0;
  int32_t s3 = 0;
  for (int64_t k = 0; k < count; ++k) {
    s0 += inputs[k] * weights[0][k];
    s1 += inputs[k] * weights[1][k];
    s2 += inputs[k] * weights[2][k];
    s3 += inputs[k] * weights[3][k];
  }
  sums[0] += s0;
  sums[1] += s1;
  sums[2] += s2;
  sums[3] += s3;
}

struct Sums {
  int32_t of[kMaxRows][kPanelColumns];
};

// Exact accumulators over the columns [begin, end).
Sums Accumulate(const int8_t* x, int64_t rows, const uint8_t* panel, int64_t bits, int64_t begin,
                int64_t end) {
  Sums sums = {};
  Chunk chunk;
  for (int64_t k = begin; k < end; k += kChunk) {
    chunk.count = std::min(kChunk, end - k);
    ReadWeights(panel, bits, k, &chunk);
    ReadInputs(x, rows, k, &chunk);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < kPanelColumns; c += 4) {
        AddDots(chunk.inputs[r], chunk.weights + c, chunk.count, sums.of[r] + c);
      }
    }
  }
  return sums;
}

void WidenScales(const uint16_t* scales, float* widened) {
  std::transform(scales, scales + kPanelColumns, widened, FloatFromFp16);
}

float Load(const void* data, ElementType type, int64_t index) {
  return type == ElementType::kFloat32
             ? static_cast<const float*>(data)[index]
             : FloatFromBFloat16(static_cast<const uint16_t*>(data)[index]);
}

void Store(const GemmOutput& out, int64_t index, float value) {
  if (out.type == ElementType::kFloat32) {
    static_cast<float*>(out.data)[index] = value;
  } else {
    static_cast<uint16_t*>(out.data)[index] = BFloat16FromFloat(value);
  }
}

// Elements [n, n + count) of row m.
void StoreRow(const GemmOutput& out, int64_t out_features, int64_t m, int64_t n, int64_t count,
              const float* values) {
  for (int64_t c = 0; c < count; ++c) {
    float y = values[c];
    if (out.residual != nullptr) {
      const float residual = Load(out.residual, out.type, m * out.residual_stride + n + c);
      if (out.gate == nullptr) {
        y = residual + y;
      } else {
        const int64_t gate = m / out.rows_per_gate * out_features + n + c;
        y = std::fma(y, Load(out.gate, out.type, gate), residual);
      }
    }
    Store(out, m * out.stride + n + c, y);
  }
}

}  // namespace

void ComputeTile(const BlockedActivations& x, const PanelWeights& weights, const GemmSteps& steps,
                 const float* bias, int64_t block, int64_t panel, float* tile, int64_t stride) {
  const RowBlocks blocks = x.blocks();
  const int64_t first = blocks.begin(block);
  const int64_t rows = blocks.size(block);
  const int8_t* const input = x.codes + first * PaddedDepth(x.columns);
  const uint8_t* const codes =
      weights.codes + panel * PanelCodeBytes(weights.in_features, weights.bits);
  const uint16_t* const weight_scales =
      weights.scales + panel * steps.weight_groups * kPanelColumns;
  const float* const input_scales = x.scales + first * steps.input_groups;
  const int64_t columns = std::min(kPanelColumns, weights.out_features - panel * kPanelColumns);

  for (int64_t r = 0; r < rows; ++r) std::fill_n(tile + r * stride, kPanelColumns, 0.0f);
  for (int64_t step = 0; step < steps.count; ++step) {
    const int64_t begin = step * steps.width;
    const Sums sums = Accumulate(input, rows, codes, weights.bits, begin,
                                 std::min(begin + steps.width, x.columns));
    float scales[kPanelColumns];
    WidenScales(weight_scales + step / steps.weight_steps * kPanelColumns, scales);
    for (int64_t r = 0; r < rows; ++r) {
      const float input_scale = input_scales[r * steps.input_groups + step / steps.input_steps];
      for (int64_t c = 0; c < columns; ++c) {
        const float scale = steps.per_token ? scales[c]
                            : steps.per_row ? input_scale
                                            : input_scale * scales[c];
        float& t = tile[r * stride + c];
        t = std::fma(static_cast<float>(sums.of[r][c]), scale, t);
      }
    }
  }
  const bool scaled = steps.per_token || steps.per_row;
  float row_scales[kPanelColumns];
  WidenScales(weight_scales, row_scales);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      const float scale = steps.per_token ? input_scales[r] : row_scales[c];
      float& t = tile[r * stride + c];
      if (bias == nullptr) {
        t = scaled ? t * scale : t;
      } else {
        const float b = bias[panel * kPanelColumns + c];
        t = scaled ? std::fma(t, scale, b) : t + b;
      }
    }
  }
}

void RunGemm(const IntGemm& problem, int64_t panel_begin, int64_t panel_end, int64_t block_begin,
             int64_t block_end) {
  const PanelWeights& weights = problem.weights;
  const GemmSteps steps = StepsOf(problem.x, weights);
  const RowBlocks blocks = problem.x.blocks();
  float tile[kMaxRows * kPanelColumns];
  for (int64_t panel = panel_begin; panel < panel_end; ++panel) {
    const int64_t n = panel * kPanelColumns;
    const int64_t columns = std::min(kPanelColumns, weights.out_features - n);
    for (int64_t block = block_begin; block < block_end; ++block) {
      ComputeTile(problem.x, weights, steps, problem.out.bias, block, panel, tile, kPanelColumns);
      for (int64_t r = 0; r < blocks.size(block); ++r) {
        StoreRow(problem.out, weights.out_features, blocks.begin(block) + r, n, columns,
                 tile + r * kPanelColumns);
      }
    }
  }
}

}  // namespace vlaserve::kernels::portable
