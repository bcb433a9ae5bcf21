// Loops for measuring peaks on AVX2 and FMA. Inline assembly: what runs is what is counted.
#include "kernels/cpu/avx2/peak.h"

namespace vlaserve::kernels::avx2 {
namespace {

// clang-format off
#define VLASERVE_CLOBBERS \
  "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
      "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"
// Sums of byte products in 16 bits (ymm4 ... ymm7), widened into 32 bits (ymm0 ... ymm3) after eight.
#define VLASERVE_MULTIPLY(to) "vpmaddubsw %%ymm14, %%ymm15, %%" to "\n\t"
#define VLASERVE_MULTIPLY_ADD(product, sum) \
  VLASERVE_MULTIPLY(product) "vpaddw %%" product ", %%" sum ", %%" sum "\n\t"
#define VLASERVE_MULTIPLY_ADD_4                                          \
  VLASERVE_MULTIPLY_ADD("ymm8", "ymm4") VLASERVE_MULTIPLY_ADD("ymm9", "ymm5") \
  VLASERVE_MULTIPLY_ADD("ymm10", "ymm6") VLASERVE_MULTIPLY_ADD("ymm11", "ymm7")
#define VLASERVE_WIDEN(sum, accumulator)           \
  "vpmaddwd %%ymm13, %%" sum ", %%" sum "\n\t"     \
  "vpaddd %%" sum ", %%" accumulator ", %%" accumulator "\n\t"
#define VLASERVE_FMA(accumulator) "vfmadd231ps %%ymm14, %%ymm15, %%" accumulator "\n\t"
// clang-format on

void MultiplyBytes(int64_t iterations) {
  asm volatile(
      "vzeroall\n\t"
      "1:\n\t"                                                                     //
      VLASERVE_MULTIPLY("ymm4") VLASERVE_MULTIPLY("ymm5")                          //
      VLASERVE_MULTIPLY("ymm6") VLASERVE_MULTIPLY("ymm7")                          //
      VLASERVE_MULTIPLY_ADD_4 VLASERVE_MULTIPLY_ADD_4 VLASERVE_MULTIPLY_ADD_4      //
          VLASERVE_MULTIPLY_ADD_4 VLASERVE_MULTIPLY_ADD_4 VLASERVE_MULTIPLY_ADD_4  //
              VLASERVE_MULTIPLY_ADD_4                                              //
                  VLASERVE_WIDEN("ymm4", "ymm0") VLASERVE_WIDEN("ymm5", "ymm1")    //
      VLASERVE_WIDEN("ymm6", "ymm2") VLASERVE_WIDEN("ymm7", "ymm3")                //
      "decq %0\n\t"
      "jnz 1b\n\t"
      "vzeroupper"
      : "+r"(iterations)
      :
      : VLASERVE_CLOBBERS);
}

void MultiplyFloats(int64_t iterations) {
  asm volatile(
      "vzeroall\n\t"
      "1:\n\t"                                                                               //
      VLASERVE_FMA("ymm0") VLASERVE_FMA("ymm1") VLASERVE_FMA("ymm2") VLASERVE_FMA("ymm3")    //
      VLASERVE_FMA("ymm4") VLASERVE_FMA("ymm5") VLASERVE_FMA("ymm6") VLASERVE_FMA("ymm7")    //
      VLASERVE_FMA("ymm8") VLASERVE_FMA("ymm9") VLASERVE_FMA("ymm10") VLASERVE_FMA("ymm11")  //
      "decq %0\n\t"
      "jnz 1b\n\t"
      "vzeroupper"
      : "+r"(iterations)
      :
      : VLASERVE_CLOBBERS);
}

}  // namespace

PeakLoop IntegerPeakLoop() {
  return {"8 vpmaddubsw, 7 vpaddw, vpmaddwd, vpaddd of 256 bits", 4.0 * 8 * 64, MultiplyBytes};
}

PeakLoop Float32PeakLoop() { return {"vfmadd231ps of 256 bits", 12.0 * 16, MultiplyFloats}; }

}  // namespace vlaserve::kernels::avx2
