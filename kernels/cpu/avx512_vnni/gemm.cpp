#include <immintrin.h>

#include "kernels/cpu/avx512_vnni/functions.h"
#include "kernels/cpu/avx512_vnni/tile.h"

namespace vlaserve::kernels::avx512_vnni {
namespace {

// Elements from `index` on; 0 where the mask is.
VLASERVE_ALWAYS_INLINE __m512 Load(const void* data, ElementType type, int64_t index,
                                   __mmask16 mask) {
  if (type == ElementType::kFloat32) {
    return _mm512_maskz_loadu_ps(mask, static_cast<const float*>(data) + index);
  }
  const __m256i halves = _mm256_maskz_loadu_epi16(mask, static_cast<const uint16_t*>(data) + index);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

// Rounds half to even; a NaN keeps its upper half and becomes quiet. By integers: vcvtneps2bf16
// belongs to another extension and flushes subnormals.
VLASERVE_ALWAYS_INLINE __m512i BFloat16FromFloat(__m512 value) {
  const __m512i bits = _mm512_castps_si512(value);
  const __m512i upper = _mm512_srli_epi32(bits, 16);
  const __m512i odd = _mm512_and_si512(upper, _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_srli_epi32(
      _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF))), 16);
  const __mmask16 nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
  return _mm512_mask_or_epi32(rounded, nan, upper, _mm512_set1_epi32(0x40));
}

VLASERVE_ALWAYS_INLINE void Store(void* data, ElementType type, int64_t index, __mmask16 mask,
                                  __m512 value) {
  if (type == ElementType::kFloat32) {
    _mm512_mask_storeu_ps(static_cast<float*>(data) + index, mask, value);
  } else {
    _mm256_mask_storeu_epi16(static_cast<uint16_t*>(data) + index, mask,
                             _mm512_cvtepi32_epi16(BFloat16FromFloat(value)));
  }
}

// Elements [n, n + kHalf) of row m, as far as the mask says.
void StoreHalfRow(const GemmOutput& out, int64_t out_features, int64_t m, int64_t n, __mmask16 mask,
                  __m512 y) {
  if (out.residual != nullptr) {
    const __m512 residual = Load(out.residual, out.type, m * out.residual_stride + n, mask);
    if (out.gate == nullptr) {
      y = _mm512_add_ps(residual, y);
    } else {
      const int64_t gate = m / out.rows_per_gate * out_features + n;
      y = _mm512_fmadd_ps(y, Load(out.gate, out.type, gate, mask), residual);
    }
  }
  Store(out.data, out.type, m * out.stride + n, mask, y);
}

}  // namespace

void RunGemm(const IntGemm& problem, int64_t panel_begin, int64_t panel_end, int64_t block_begin,
             int64_t block_end) {
  const PanelWeights& weights = problem.weights;
  const GemmSteps steps = StepsOf(problem.x, weights);
  const RowBlocks blocks = problem.x.blocks();
  alignas(64) float tile[kMaxRows * kPanelColumns];
  for (int64_t panel = panel_begin; panel < panel_end; ++panel) {
    const int64_t n = panel * kPanelColumns;
    const __mmask16 first = FeatureMask(weights.out_features - n);
    const __mmask16 second = FeatureMask(weights.out_features - n - kHalf);
    for (int64_t block = block_begin; block < block_end; ++block) {
      ComputeTile(problem.x, weights, steps, problem.out.bias, block, panel, tile, kPanelColumns);
      for (int64_t r = 0; r < blocks.size(block); ++r) {
        const int64_t m = blocks.begin(block) + r;
        const float* const t = tile + r * kPanelColumns;
        StoreHalfRow(problem.out, weights.out_features, m, n, first, _mm512_load_ps(t));
        StoreHalfRow(problem.out, weights.out_features, m, n + kHalf, second,
                     _mm512_load_ps(t + kHalf));
      }
    }
  }
}

}  // namespace vlaserve::kernels::avx512_vnni
