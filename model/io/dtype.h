// Element types of stored tensors, and conversions of the 16-bit floating-point ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace vlaserve {

enum class DType { kBool, kU8, kI8, kI16, kI32, kI64, kF16, kBF16, kF32, kF64 };

// Bytes of one element.
size_t DTypeSize(DType dtype);

// The name in safetensors headers and in our own JSON files: "F32", "BF16", "BOOL" …
std::string_view DTypeName(DType dtype);
std::optional<DType> DTypeFromName(std::string_view name);

// IEEE 754 binary16 and bfloat16 as bit patterns. Narrowing rounds to nearest even; NaN stays NaN.
float Bf16ToFloat(uint16_t bits);
uint16_t FloatToBf16(float value);
float F16ToFloat(uint16_t bits);

}  // namespace vlaserve
