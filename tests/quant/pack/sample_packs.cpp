#include "tests/quant/pack/sample_packs.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>

#include "kernels/panels.h"

namespace vlaserve {
namespace {

template <typename T>
std::vector<T> Numbers(int64_t count, std::mt19937& random) {
  std::vector<T> values(static_cast<size_t>(count));
  for (T& value : values) value = static_cast<T>(random() % 251);
  return values;
}

std::vector<int32_t> Shuffled(int64_t count, std::mt19937& random) {
  std::vector<int32_t> values(static_cast<size_t>(count));
  std::iota(values.begin(), values.end(), 0);
  std::shuffle(values.begin(), values.end(), random);
  return values;
}

PackContents Empty(int64_t out_features, int64_t in_features, PackArithmetic arithmetic) {
  PackContents pack;
  pack.out_features = out_features;
  pack.in_features = in_features;
  pack.arithmetic = arithmetic;
  return pack;
}

// Codes and scales of 4 or 8 bits, one scale per row if `group` is 0.
void AddIntegerCodes(int64_t bits, int64_t group, bool symmetric, std::mt19937& random,
                     PackContents& pack) {
  const int64_t n = pack.out_features;
  const int64_t k = pack.in_features;
  const int64_t groups = group > 0 ? (k + group - 1) / group : 1;
  pack.weight_bits = bits;
  pack.storage_bits = bits;
  pack.group = group;
  if (symmetric) {
    const int64_t panels = kernels::PanelCount(n);
    pack.layout = PackLayout::kPanels;
    pack.codes = Numbers<uint8_t>(panels * kernels::PanelCodeBytes(k, bits), random);
    pack.scales_fp16 = Numbers<uint16_t>(panels * groups * kernels::kPanelColumns, random);
  } else {
    pack.layout = PackLayout::kRows;
    pack.codes = Numbers<uint8_t>(n * ((k * bits + 7) / 8), random);
    pack.scales_fp16 = Numbers<uint16_t>(n * groups, random);
    pack.zeros = Numbers<uint8_t>(n * groups, random);
  }
}

template <typename T>
bool SameBytes(std::span<const T> a, std::span<const T> b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}

}  // namespace

PackContents IntegerPack(int64_t out_features, int64_t in_features, uint32_t seed) {
  std::mt19937 random(seed);
  PackContents pack = Empty(out_features, in_features, PackArithmetic::kInteger);
  AddIntegerCodes(4, 32, /*symmetric=*/true, random, pack);
  pack.rotate_in = RotateIn::kHadamard;
  pack.block = 16;
  return pack;
}

std::vector<SamplePack> SamplePacks() {
  std::mt19937 random(7);
  std::vector<SamplePack> packs;
  packs.push_back({"int4, groups, Hadamard", IntegerPack(64, 128, 1)});
  packs.push_back({"int4, odd sizes", IntegerPack(3, 77, 2)});

  PackContents all = IntegerPack(50, 72, 3);
  all.smooth = Numbers<float>(72, random);
  all.permutation = Shuffled(72, random);
  all.rotate_in = RotateIn::kSvdHadamard;
  all.rotations = Numbers<float>(4 * 16 * 16 + 8 * 8, random);  // the last block is shorter
  all.rotate_out = RotateOut::kRestore;
  all.block_out = 32;
  all.output_rotations = Numbers<float>(32 * 32 + 18 * 18, random);
  packs.push_back({"every transform", std::move(all)});

  PackContents asymmetric = Empty(5, 65, PackArithmetic::kInteger);
  AddIntegerCodes(4, 32, /*symmetric=*/false, random, asymmetric);
  packs.push_back({"asymmetric", std::move(asymmetric)});

  PackContents rows = Empty(7, 33, PackArithmetic::kInteger);
  AddIntegerCodes(8, 0, /*symmetric=*/true, random, rows);
  rows.rotate_in = RotateIn::kDuquantGreedy;
  rows.block = 32;
  rows.rotations = Numbers<float>(32 * 32, random);  // one for all blocks
  packs.push_back({"int8, rows, one shared rotation", std::move(rows)});

  PackContents legacy = Empty(12, 20, PackArithmetic::kLegacyF32);
  legacy.weight_bits = 3;
  legacy.storage_bits = 4;
  legacy.codes = Numbers<uint8_t>(12 * 10, random);
  legacy.scales = Numbers<float>(12, random);
  legacy.permutation = Shuffled(20, random);
  packs.push_back({"legacy float32", std::move(legacy)});

  PackContents activations_only = Empty(6, 10, PackArithmetic::kLegacyBf16);
  activations_only.storage_bits = 16;
  activations_only.codes = Numbers<uint8_t>(6 * 20, random);
  activations_only.block_out = 4;  // rows rotated and never restored
  activations_only.output_rotations = Numbers<float>(4 * 4 + 2 * 2, random);
  packs.push_back({"legacy bfloat16, weights as they are", std::move(activations_only)});

  PackContents nothing = Empty(4, 32, PackArithmetic::kNone);
  nothing.rotate_in = RotateIn::kHadamard;
  nothing.block = 32;
  packs.push_back({"no arrays at all", std::move(nothing)});
  return packs;
}

bool SamePack(const PackedLayer& a, const PackedLayer& b) {
  return a.out_features == b.out_features && a.in_features == b.in_features &&
         a.arithmetic == b.arithmetic && a.weight_bits == b.weight_bits &&
         a.storage_bits == b.storage_bits && a.layout == b.layout && a.group == b.group &&
         a.rotate_in == b.rotate_in && a.block == b.block && a.rotate_out == b.rotate_out &&
         a.block_out == b.block_out && SameBytes(a.codes, b.codes) &&
         SameBytes(a.scales_fp16, b.scales_fp16) && SameBytes(a.scales, b.scales) &&
         SameBytes(a.zeros, b.zeros) && SameBytes(a.smooth, b.smooth) &&
         SameBytes(a.permutation, b.permutation) && SameBytes(a.rotations, b.rotations) &&
         SameBytes(a.output_rotations, b.output_rotations);
}

}  // namespace vlaserve
