// Packs of every kind, with made-up numbers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "quant/pack/packed_layer.h"

namespace vlaserve {

// A 4-bit integer pack with Hadamard rotation, [out, in] with groups of 32; `seed` decides its
// numbers.
PackContents IntegerPack(int64_t out_features, int64_t in_features, uint32_t seed);

struct SamplePack {
  std::string name;
  PackContents contents;
};

// Every arithmetic, storage width and transform; sizes that are no multiple of anything.
std::vector<SamplePack> SamplePacks();

// The same numbers in every field and array.
bool SamePack(const PackedLayer& a, const PackedLayer& b);

}  // namespace vlaserve
