// The header of a safetensors file: parsing and checking it, apart from where its bytes come from.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "model/io/safetensors.h"
#include "model/io/status.h"

namespace vlaserve {

inline constexpr size_t kSafetensorsMaxHeaderBytes = 100'000'000;

struct SafetensorsContent {
  std::map<std::string, TensorView> tensors;  // views into the bytes that were parsed
  std::map<std::string, std::string> metadata;
};

// Checks a whole file, given as its bytes, by the rules of safetensors.h. `origin` (the file's
// name) starts every message.
Result<SafetensorsContent> ParseSafetensors(std::span<const std::byte> bytes,
                                            std::string_view origin);

// Bytes of a tensor of this shape; nothing if a dimension is negative or the product overflows.
std::optional<uint64_t> CheckedByteSize(DType dtype, std::span<const int64_t> shape);

}  // namespace vlaserve
