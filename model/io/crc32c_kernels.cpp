#include "model/io/crc32c_kernels.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace vlaserve {
namespace {

constexpr uint32_t kReversedPolynomial = 0x82F63B78u;

// tables[0][b]: the remainder of byte b; tables[k][b]: of byte b followed by k zero bytes.
using Tables = std::array<std::array<uint32_t, 256>, 8>;

constexpr Tables MakeTables() {
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t remainder = byte;
    for (int bit = 0; bit < 8; ++bit) {
      remainder = (remainder >> 1) ^ ((remainder & 1u) != 0 ? kReversedPolynomial : 0u);
    }
    tables[0][byte] = remainder;
  }
  for (size_t k = 1; k < tables.size(); ++k) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t shorter = tables[k - 1][byte];
      tables[k][byte] = (shorter >> 8) ^ tables[0][shorter & 0xFFu];
    }
  }
  return tables;
}

constexpr Tables kTables = MakeTables();

uint64_t LoadLittleEndian(const std::byte* bytes) {
  uint64_t word = 0;
  for (unsigned i = 0; i < 8; ++i) word |= uint64_t{std::to_integer<uint8_t>(bytes[i])} << (8 * i);
  return word;
}

}  // namespace

uint32_t Crc32cTable(std::span<const std::byte> bytes, uint32_t crc) {
  uint32_t state = ~crc;
  size_t i = 0;
  for (; bytes.size() - i >= 8; i += 8) {
    const uint64_t word = LoadLittleEndian(&bytes[i]) ^ state;
    state = 0;
    for (unsigned k = 0; k < 8; ++k) state ^= kTables[7 - k][(word >> (8 * k)) & 0xFFu];
  }
  for (; i < bytes.size(); ++i) {
    state = (state >> 8) ^ kTables[0][(state ^ std::to_integer<uint32_t>(bytes[i])) & 0xFFu];
  }
  return ~state;
}

#if defined(__x86_64__)

bool HasCrc32cInstruction() { return __builtin_cpu_supports("sse4.2") != 0; }

__attribute__((target("sse4.2"))) uint32_t Crc32cInstruction(std::span<const std::byte> bytes,
                                                             uint32_t crc) {
  uint64_t state = static_cast<uint32_t>(~crc);
  size_t i = 0;
  for (; bytes.size() - i >= 8; i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, &bytes[i], 8);
    state = _mm_crc32_u64(state, word);
  }
  uint32_t tail = static_cast<uint32_t>(state);
  for (; i < bytes.size(); ++i) tail = _mm_crc32_u8(tail, std::to_integer<uint8_t>(bytes[i]));
  return ~tail;
}

#else

bool HasCrc32cInstruction() { return false; }

uint32_t Crc32cInstruction(std::span<const std::byte> bytes, uint32_t crc) {
  return Crc32cTable(bytes, crc);
}

#endif

}  // namespace vlaserve
