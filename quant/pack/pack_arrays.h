// The arrays of a pack as its file stores them, and what they must be to fit each other. Private to
// the pack file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "model/io/dtype.h"
#include "model/io/status.h"
#include "quant/pack/packed_layer.h"

namespace vlaserve {

struct PackArray {
  std::string_view name;
  DType dtype = DType::kU8;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
};

// Every array that `pack` has, in the order of the file. Precondition: CheckPackArrays is ok.
std::vector<PackArray> PackArrays(const PackedLayer& pack);

// Makes the array `name` of `pack` a view of `bytes`. kUnreadable if there is no array of this name
// or it has another element type.
Status SetPackArray(std::string_view name, DType dtype, std::span<const std::byte> bytes,
                    PackedLayer& pack);

// Sizes of all arrays against the numbers of `pack`; permutation entries are columns, each once.
// kUnreadable, naming the array.
Status CheckPackArrays(const PackedLayer& pack);

}  // namespace vlaserve
