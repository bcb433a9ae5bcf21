// Loops for measuring peaks on AVX-512 and VNNI. Inline assembly: what runs is what is counted.
#include "kernels/cpu/avx512_vnni/peak.h"

namespace vlaserve::kernels::avx512_vnni {
namespace {

// clang-format off
#define VLASERVE_CLOBBERS \
  "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31"
#define VLASERVE_DOT(accumulator) "vpdpbusd %%zmm31, %%zmm30, %%" accumulator "\n\t"
#define VLASERVE_FMA(accumulator) "vfmadd231ps %%zmm31, %%zmm30, %%" accumulator "\n\t"
#define VLASERVE_24(operation) \
  operation("zmm0") operation("zmm1") operation("zmm2") operation("zmm3") \
  operation("zmm4") operation("zmm5") operation("zmm6") operation("zmm7") \
  operation("zmm8") operation("zmm9") operation("zmm10") operation("zmm11") \
  operation("zmm12") operation("zmm13") operation("zmm14") operation("zmm15") \
  operation("zmm16") operation("zmm17") operation("zmm18") operation("zmm19") \
  operation("zmm20") operation("zmm21") operation("zmm22") operation("zmm23")
#define VLASERVE_CLEAR(accumulator) "vpxord %%" accumulator ", %%" accumulator ", %%" accumulator "\n\t"
#define VLASERVE_LOOP(operation)                        \
  asm volatile(                                         \
      VLASERVE_24(VLASERVE_CLEAR)                       \
      VLASERVE_CLEAR("zmm30") VLASERVE_CLEAR("zmm31")   \
      "1:\n\t"                                          \
      VLASERVE_24(operation)                            \
      "decq %0\n\t"                                     \
      "jnz 1b\n\t"                                      \
      "vzeroupper"                                      \
      : "+r"(iterations) : : VLASERVE_CLOBBERS)
// clang-format on

void MultiplyBytes(int64_t iterations) { VLASERVE_LOOP(VLASERVE_DOT); }

void MultiplyFloats(int64_t iterations) { VLASERVE_LOOP(VLASERVE_FMA); }

}  // namespace

PeakLoop IntegerPeakLoop() { return {"vpdpbusd of 512 bits", 24.0 * 128, MultiplyBytes}; }

PeakLoop Float32PeakLoop() { return {"vfmadd231ps of 512 bits", 24.0 * 32, MultiplyFloats}; }

}  // namespace vlaserve::kernels::avx512_vnni
