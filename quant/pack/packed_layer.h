// One layer's pack: quantized weights and the transforms that belong to them, as views.
//
// N = out, K = in. Free of LibTorch. The format on disk is PACK_FORMAT.md.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "quant/config/quant_config.h"

namespace vlaserve {

// The arithmetic that gave the codes, hence what may compute with them.
enum class PackArithmetic {
  kInteger,     // fp16 scales, golden int_oracle's formulas: kInt and kFake
  kLegacyF32,   // openpi_duquant in float32
  kLegacyBf16,  // openpi_duquant in bfloat16
  kNone,        // transforms only, no weights
};

// How codes and scales_fp16 lie in memory.
enum class PackLayout {
  kRows,    // row-major
  kPanels,  // kernels/panels.h: what the integer kernels of the CPU read as it is
};

// The only place that decides: panels for symmetric integer codes, rows for everything else.
// `weight_bits`: of the rule that made the codes, 0: not quantized.
constexpr PackLayout LayoutOf(PackArithmetic arithmetic, int64_t weight_bits, bool symmetric) {
  const bool panels = arithmetic == PackArithmetic::kInteger && weight_bits > 0 && symmetric;
  return panels ? PackLayout::kPanels : PackLayout::kRows;
}

// Bits of one stored code.
constexpr int64_t StorageBits(int64_t weight_bits) { return weight_bits <= 4 ? 4 : 8; }

// Views stay valid while `owner` lives; each is aligned to 64 bytes. Immutable; any thread may
// read.
struct PackedLayer {
  int64_t out_features = 0;
  int64_t in_features = 0;
  PackArithmetic arithmetic = PackArithmetic::kInteger;

  // Weights; empty with kNone.
  int64_t weight_bits = 0;  // of the rule that made the codes, 2 … 8; 0: weights not quantized
  // Of a stored code, 4 or 8; 16, 32: not quantized, floating point [N, K].
  int64_t storage_bits = 0;
  PackLayout layout = PackLayout::kRows;
  // Columns per scale, as configured: it may be K or more, which is not the same as 0, one scale
  // per row (kernels/int_linear.h: another order of roundings).
  int64_t group = 0;
  // kPanels: as kernels/panels.h says. kRows: 4 bits [N, ceil(K/2)], low nibble = even column; 8
  // bits [N, K]; two's complement, unsigned if `zeros` has entries.
  std::span<const uint8_t> codes;
  // kInteger. G = ceil(K/group), 1 per row. kPanels: [ceil(N/32), G, 32]. kRows: [N, G].
  std::span<const uint16_t> scales_fp16;
  std::span<const float> scales;   // [N]; kLegacy…
  std::span<const uint8_t> zeros;  // [N, G]; asymmetric only: w = (q - zero) S, q unsigned in the
                                   // same nibbles or bytes

  // Transforms, in the order in which they apply to x; empty: not applied.
  std::span<const float> smooth;         // [K]: x / smooth, W * smooth
  std::span<const int32_t> permutation;  // [K]: column c of the result is column permutation[c]
  RotateIn rotate_in = RotateIn::kOff;
  int64_t block = 0;  // columns per rotation; the last block may be shorter
  // Dense rotations, row-major, x_block · R: one per block, or one for all (kDuquantGreedy); empty
  // for kHadamard, which is computed.
  std::span<const float> rotations;
  RotateOut rotate_out = RotateOut::kOff;
  int64_t block_out = 0;
  std::span<const float> output_rotations;  // one per block of rows, row-major

  std::shared_ptr<const void> owner;
};

// The same with its own memory: what a packer builds and a pack file is written from.
struct PackContents {
  int64_t out_features = 0;
  int64_t in_features = 0;
  PackArithmetic arithmetic = PackArithmetic::kInteger;
  int64_t weight_bits = 0;
  int64_t storage_bits = 0;
  PackLayout layout = PackLayout::kRows;
  int64_t group = 0;
  std::vector<uint8_t> codes;
  std::vector<uint16_t> scales_fp16;
  std::vector<float> scales;
  std::vector<uint8_t> zeros;
  std::vector<float> smooth;
  std::vector<int32_t> permutation;
  RotateIn rotate_in = RotateIn::kOff;
  int64_t block = 0;
  std::vector<float> rotations;
  RotateOut rotate_out = RotateOut::kOff;
  int64_t block_out = 0;
  std::vector<float> output_rotations;
};

// Views into `contents`, which the result owns.
PackedLayer ViewOf(PackContents contents);

// Bytes of all arrays.
int64_t PackBytes(const PackedLayer& pack);

}  // namespace vlaserve
