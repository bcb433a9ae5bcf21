#include "kernels/cpu/avx2/gemm.h"

#include <cstring>

#include <immintrin.h>

#include "kernels/cpu/avx2/functions.h"

namespace vlaserve::kernels::avx2 {
namespace {

// Elements [index, index + count) of an array of `type`, count ≤ 8; the other lanes are 0.
__m256 Load(const void* data, ElementType type, int64_t index, int64_t count) {
  if (type == ElementType::kFloat32) {
    const float* const from = static_cast<const float*>(data) + index;
    if (count == 8) return _mm256_loadu_ps(from);
    alignas(32) float lanes[8] = {};
    std::memcpy(lanes, from, static_cast<size_t>(count) * sizeof(float));
    return _mm256_load_ps(lanes);
  }
  const uint16_t* const from = static_cast<const uint16_t*>(data) + index;
  alignas(16) uint16_t lanes[8] = {};
  if (count < 8) {
    std::memcpy(lanes, from, static_cast<size_t>(count) * sizeof(uint16_t));
  }
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(count < 8 ? lanes : from));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}

// Half to even; a NaN keeps its upper half and becomes quiet.
__m128i ToBFloat16(__m256 values) {
  const __m256i bits = _mm256_castps_si256(values);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_srli_epi32(
      _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7FFF)), odd), 16);
  const __m256i quiet = _mm256_or_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(0x40));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(values, values, _CMP_UNORD_Q));
  const __m256i wide = _mm256_blendv_epi8(rounded, quiet, nan);
  return _mm_packus_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
}

void Store(void* data, ElementType type, int64_t index, int64_t count, __m256 values) {
  if (type == ElementType::kFloat32) {
    float* const to = static_cast<float*>(data) + index;
    if (count == 8) {
      _mm256_storeu_ps(to, values);
    } else {
      alignas(32) float lanes[8];
      _mm256_store_ps(lanes, values);
      std::memcpy(to, lanes, static_cast<size_t>(count) * sizeof(float));
    }
    return;
  }
  uint16_t* const to = static_cast<uint16_t*>(data) + index;
  if (count == 8) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), ToBFloat16(values));
  } else {
    alignas(16) uint16_t lanes[8];
    _mm_store_si128(reinterpret_cast<__m128i*>(lanes), ToBFloat16(values));
    std::memcpy(to, lanes, static_cast<size_t>(count) * sizeof(uint16_t));
  }
}

// Elements [n, n + count) of row m.
void StoreRow(const GemmOutput& out, int64_t out_features, int64_t m, int64_t n, int64_t count,
              const float* values) {
  for (int64_t c = 0; c < count; c += 8) {
    const int64_t lanes = count - c < 8 ? count - c : 8;
    __m256 y = _mm256_load_ps(values + c);
    if (out.residual != nullptr) {
      const __m256 residual = Load(out.residual, out.type, m * out.residual_stride + n + c, lanes);
      if (out.gate == nullptr) {
        y = _mm256_add_ps(residual, y);
      } else {
        const int64_t gate = m / out.rows_per_gate * out_features + n + c;
        y = _mm256_fmadd_ps(y, Load(out.gate, out.type, gate, lanes), residual);
      }
    }
    Store(out.data, out.type, m * out.stride + n + c, lanes, y);
  }
}

}  // namespace

void RunGemm(const IntGemm& problem, int64_t panel_begin, int64_t panel_end, int64_t block_begin,
             int64_t block_end) {
  const PanelWeights& weights = problem.weights;
  const GemmSteps steps = StepsOf(problem.x, weights);
  const RowBlocks blocks = problem.x.blocks();
  alignas(32) float tile[kMaxRows * kPanelColumns];
  for (int64_t panel = panel_begin; panel < panel_end; ++panel) {
    const int64_t n = panel * kPanelColumns;
    const int64_t columns =
        weights.out_features - n < kPanelColumns ? weights.out_features - n : kPanelColumns;
    for (int64_t block = block_begin; block < block_end; ++block) {
      ComputeTile(problem.x, weights, steps, problem.out.bias, block, panel, tile, kPanelColumns);
      for (int64_t r = 0; r < blocks.size(block); ++r) {
        StoreRow(problem.out, weights.out_features, blocks.begin(block) + r, n, columns,
                 tile + r * kPanelColumns);
      }
    }
  }
}

}  // namespace vlaserve::kernels::avx2
