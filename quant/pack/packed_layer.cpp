#include "quant/pack/packed_layer.h"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <type_traits>

namespace vlaserve {
namespace {

constexpr size_t kAlignment = 64;

constexpr size_t RoundUp(size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

struct FreeAligned {
  void operator()(std::byte* bytes) const {
    ::operator delete[](bytes, std::align_val_t{kAlignment});
  }
};

template <typename T>
size_t Room(const std::vector<T>& values) {
  return RoundUp(values.size() * sizeof(T));
}

// Moves `values` to `place`, which is advanced, and frees them.
template <typename T>
std::span<const T> Take(std::vector<T>& values, std::byte*& place) {
  static_assert(std::is_trivially_copyable_v<T>);
  T* const first = reinterpret_cast<T*>(place);
  std::uninitialized_copy(values.begin(), values.end(), first);
  const std::span<const T> view(first, values.size());
  place += Room(values);
  std::vector<T>().swap(values);
  return view;
}

}  // namespace

PackedLayer ViewOf(PackContents contents) {
  const size_t bytes = Room(contents.codes) + Room(contents.scales_fp16) + Room(contents.scales) +
                       Room(contents.zeros) + Room(contents.smooth) + Room(contents.permutation) +
                       Room(contents.rotations) + Room(contents.output_rotations);
  std::byte* place = new (std::align_val_t{kAlignment}) std::byte[std::max(bytes, kAlignment)];

  PackedLayer pack;
  pack.owner = std::shared_ptr<const void>(place, [](const void* memory) {
    FreeAligned()(const_cast<std::byte*>(static_cast<const std::byte*>(memory)));
  });
  pack.out_features = contents.out_features;
  pack.in_features = contents.in_features;
  pack.arithmetic = contents.arithmetic;
  pack.weight_bits = contents.weight_bits;
  pack.storage_bits = contents.storage_bits;
  pack.layout = contents.layout;
  pack.group = contents.group;
  pack.codes = Take(contents.codes, place);
  pack.scales_fp16 = Take(contents.scales_fp16, place);
  pack.scales = Take(contents.scales, place);
  pack.zeros = Take(contents.zeros, place);
  pack.smooth = Take(contents.smooth, place);
  pack.permutation = Take(contents.permutation, place);
  pack.rotate_in = contents.rotate_in;
  pack.block = contents.block;
  pack.rotations = Take(contents.rotations, place);
  pack.rotate_out = contents.rotate_out;
  pack.block_out = contents.block_out;
  pack.output_rotations = Take(contents.output_rotations, place);
  return pack;
}

int64_t PackBytes(const PackedLayer& pack) {
  return static_cast<int64_t>(pack.codes.size_bytes() + pack.scales_fp16.size_bytes() +
                              pack.scales.size_bytes() + pack.zeros.size_bytes() +
                              pack.smooth.size_bytes() + pack.permutation.size_bytes() +
                              pack.rotations.size_bytes() + pack.output_rotations.size_bytes());
}

}  // namespace vlaserve
