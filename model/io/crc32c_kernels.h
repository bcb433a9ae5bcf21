// The two ways to compute CRC-32C behind hash.h's Crc32c; apart so that tests compare them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace vlaserve {

// Eight bytes a step by table look-up ("slicing by 8"), on any machine.
uint32_t Crc32cTable(std::span<const std::byte> bytes, uint32_t crc);

// True where this build and this processor have SSE4.2's crc32 instruction.
bool HasCrc32cInstruction();

// Precondition: HasCrc32cInstruction().
uint32_t Crc32cInstruction(std::span<const std::byte> bytes, uint32_t crc);

}  // namespace vlaserve
