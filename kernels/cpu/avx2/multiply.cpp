#include "kernels/cpu/avx2/multiply.h"

#include "kernels/panels.h"

namespace vlaserve::kernels::avx2 {
namespace {

static_assert(kPanelColumns * sizeof(int32_t) == 128, "distance of rows of sums, below");

alignas(32) constexpr int16_t kOnes[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

// clang-format off

// ROW(r, a, b): what is done for row r with its accumulators ymm<a> (features 0 … 7) and ymm<b>.
#define VLASERVE_ROWS1(ROW) ROW(0, 0, 1)
#define VLASERVE_ROWS2(ROW) VLASERVE_ROWS1(ROW) ROW(1, 2, 3)
#define VLASERVE_ROWS3(ROW) VLASERVE_ROWS2(ROW) ROW(2, 4, 5)
#define VLASERVE_ROWS4(ROW) VLASERVE_ROWS3(ROW) ROW(3, 6, 7)
#define VLASERVE_ROWS5(ROW) VLASERVE_ROWS4(ROW) ROW(4, 8, 9)
#define VLASERVE_ROWS6(ROW) VLASERVE_ROWS5(ROW) ROW(5, 10, 11)

#define VLASERVE_WEIGHTS(offset)              \
  "vmovdqa " #offset "(%[w]), %%ymm12\n\t"    \
  "vmovdqa 32+" #offset "(%[w]), %%ymm13\n\t"

#define VLASERVE_ADD_SUMS(r, a, b)                              \
  "vpaddd 128*" #r "(%[sums]), %%ymm" #a ", %%ymm" #a "\n\t"    \
  "vpaddd 128*" #r "+32(%[sums]), %%ymm" #b ", %%ymm" #b "\n\t" \
  "vmovdqa %%ymm" #a ", 128*" #r "(%[sums])\n\t"                \
  "vmovdqa %%ymm" #b ", 128*" #r "+32(%[sums])\n\t"

// Bytes: products of the first four inputs, of four more, and at last the sums to 32 bits.
#define VLASERVE_FIRST_BYTES(r, a, b)            \
  "vpbroadcastd 4*" #r "(%[x]), %%ymm14\n\t"     \
  "vpmaddubsw %%ymm14, %%ymm12, %%ymm" #a "\n\t" \
  "vpmaddubsw %%ymm14, %%ymm13, %%ymm" #b "\n\t"
#define VLASERVE_NEXT_BYTES(r, a, b)             \
  "vpbroadcastd 4*" #r "(%[x]), %%ymm14\n\t"     \
  "vpmaddubsw %%ymm14, %%ymm12, %%ymm15\n\t"     \
  "vpmaddubsw %%ymm14, %%ymm13, %%ymm14\n\t"     \
  "vpaddw %%ymm15, %%ymm" #a ", %%ymm" #a "\n\t" \
  "vpaddw %%ymm14, %%ymm" #b ", %%ymm" #b "\n\t"
#define VLASERVE_LAST_BYTES(r, a, b)                \
  "vpmaddwd %%ymm12, %%ymm" #a ", %%ymm" #a "\n\t"  \
  "vpmaddwd %%ymm12, %%ymm" #b ", %%ymm" #b "\n\t"  \
  VLASERVE_ADD_SUMS(r, a, b)
#define VLASERVE_NEXT_QUAD(ROWS, offset) \
  "add %[stride], %[x]\n\t"              \
  VLASERVE_WEIGHTS(offset)               \
  ROWS(VLASERVE_NEXT_BYTES)

#define VLASERVE_MULTIPLY_BYTES(ROWS)                                                        \
  asm volatile(VLASERVE_WEIGHTS(0) ROWS(VLASERVE_FIRST_BYTES)                                \
               VLASERVE_NEXT_QUAD(ROWS, 64)                                                  \
               VLASERVE_NEXT_QUAD(ROWS, 128)                                                 \
               VLASERVE_NEXT_QUAD(ROWS, 192)                                                 \
               VLASERVE_NEXT_QUAD(ROWS, 256)                                                 \
               VLASERVE_NEXT_QUAD(ROWS, 320)                                                 \
               VLASERVE_NEXT_QUAD(ROWS, 384)                                                 \
               VLASERVE_NEXT_QUAD(ROWS, 448)                                                 \
               "vmovdqa %[ones], %%ymm12\n\t" ROWS(VLASERVE_LAST_BYTES)                      \
               : [x] "+r"(x)                                                                 \
               : [w] "r"(weights), [sums] "r"(sums), [stride] "r"(stride), [ones] "m"(kOnes) \
               : VLASERVE_CLOBBERS)

// Words: accumulators start at 0 and have 32 bits.
#define VLASERVE_CLEAR(r, a, b)                     \
  "vpxor %%ymm" #a ", %%ymm" #a ", %%ymm" #a "\n\t" \
  "vpxor %%ymm" #b ", %%ymm" #b ", %%ymm" #b "\n\t"
#define VLASERVE_WORDS(r, a, b)                  \
  "vpbroadcastd 4*" #r "(%[x]), %%ymm14\n\t"     \
  "vpmaddwd %%ymm14, %%ymm12, %%ymm15\n\t"       \
  "vpmaddwd %%ymm14, %%ymm13, %%ymm14\n\t"       \
  "vpaddd %%ymm15, %%ymm" #a ", %%ymm" #a "\n\t" \
  "vpaddd %%ymm14, %%ymm" #b ", %%ymm" #b "\n\t"

#define VLASERVE_MULTIPLY_WORDS(ROWS)                                \
  asm volatile(ROWS(VLASERVE_CLEAR)                                  \
               "1:\n\t"                                              \
               VLASERVE_WEIGHTS(0) ROWS(VLASERVE_WORDS)              \
               "add %[stride], %[x]\n\t"                             \
               "add $64, %[w]\n\t"                                   \
               "dec %[pairs]\n\t"                                    \
               "jnz 1b\n\t" ROWS(VLASERVE_ADD_SUMS)                  \
               : [x] "+r"(x), [w] "+r"(weights), [pairs] "+r"(pairs) \
               : [sums] "r"(sums), [stride] "r"(stride)              \
               : VLASERVE_CLOBBERS)

#define VLASERVE_CLOBBERS                                                                 \
  "memory", "cc", "ymm0", "ymm1", "ymm2", "ymm3", "ymm4", "ymm5", "ymm6", "ymm7", "ymm8", \
      "ymm9", "ymm10", "ymm11", "ymm12", "ymm13", "ymm14", "ymm15"

// clang-format on

}  // namespace

void MultiplyBytes(int64_t rows, const int8_t* x, int64_t stride, const uint8_t* weights,
                   int32_t* sums) {
  switch (rows) {
    case 1:
      VLASERVE_MULTIPLY_BYTES(VLASERVE_ROWS1);
      break;
    case 2:
      VLASERVE_MULTIPLY_BYTES(VLASERVE_ROWS2);
      break;
    case 3:
      VLASERVE_MULTIPLY_BYTES(VLASERVE_ROWS3);
      break;
    case 4:
      VLASERVE_MULTIPLY_BYTES(VLASERVE_ROWS4);
      break;
    case 5:
      VLASERVE_MULTIPLY_BYTES(VLASERVE_ROWS5);
      break;
    default:
      VLASERVE_MULTIPLY_BYTES(VLASERVE_ROWS6);
  }
}

void MultiplyWords(int64_t rows, const int16_t* x, int64_t stride, const uint16_t* weights,
                   int64_t pairs, int32_t* sums) {
  switch (rows) {
    case 1:
      VLASERVE_MULTIPLY_WORDS(VLASERVE_ROWS1);
      break;
    case 2:
      VLASERVE_MULTIPLY_WORDS(VLASERVE_ROWS2);
      break;
    case 3:
      VLASERVE_MULTIPLY_WORDS(VLASERVE_ROWS3);
      break;
    case 4:
      VLASERVE_MULTIPLY_WORDS(VLASERVE_ROWS4);
      break;
    case 5:
      VLASERVE_MULTIPLY_WORDS(VLASERVE_ROWS5);
      break;
    default:
      VLASERVE_MULTIPLY_WORDS(VLASERVE_ROWS6);
  }
}

}  // namespace vlaserve::kernels::avx2
