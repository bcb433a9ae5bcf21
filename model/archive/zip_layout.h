// Numbers of the zip format (APPNOTE.TXT 6.3 §4.3), shared by reader and writer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace vlaserve::zip_layout {

// Local header, directory entry, end record, ZIP64 end record and its locator.
inline constexpr uint32_t kLocalSignature = 0x04034b50;
inline constexpr uint32_t kEntrySignature = 0x02014b50;
inline constexpr uint32_t kEndSignature = 0x06054b50;
inline constexpr uint32_t kEnd64Signature = 0x06064b50;
inline constexpr uint32_t kLocatorSignature = 0x07064b50;
inline constexpr uint64_t kLocalBytes = 30;
inline constexpr uint64_t kEntryBytes = 46;
inline constexpr uint64_t kEndBytes = 22;
inline constexpr uint64_t kEnd64Bytes = 56;
inline constexpr uint64_t kLocatorBytes = 20;

inline constexpr uint32_t kUnset32 = 0xffffffff;  // the value is in the ZIP64 field
inline constexpr uint32_t kUnset16 = 0xffff;
inline constexpr uint32_t kZip64Extra = 0x0001;

inline constexpr uint32_t kStored = 0;
inline constexpr uint32_t kDeflated = 8;

// General purpose flags: encryption (plain, strong, of the directory), deflate level, sizes behind
// the data instead of in the local header, UTF-8 names.
inline constexpr uint32_t kFlagEncrypted = 0x0001 | 0x0040 | 0x2000;
inline constexpr uint32_t kFlagDescriptor = 0x0008;
inline constexpr uint32_t kFlagUtf8 = 0x0800;
inline constexpr uint32_t kKnownFlags = 0x0006 | kFlagDescriptor | kFlagUtf8;

// Little-endian numbers. Precondition: they lie inside of `bytes`.
inline uint64_t LittleEndian(std::span<const std::byte> bytes, uint64_t at, unsigned size) {
  uint64_t value = 0;
  for (unsigned i = 0; i < size; ++i) {
    value |= std::to_integer<uint64_t>(bytes[at + i]) << (8 * i);
  }
  return value;
}
inline uint32_t Le16(std::span<const std::byte> bytes, uint64_t at) {
  return static_cast<uint32_t>(LittleEndian(bytes, at, 2));
}
inline uint32_t Le32(std::span<const std::byte> bytes, uint64_t at) {
  return static_cast<uint32_t>(LittleEndian(bytes, at, 4));
}
inline uint64_t Le64(std::span<const std::byte> bytes, uint64_t at) {
  return LittleEndian(bytes, at, 8);
}

}  // namespace vlaserve::zip_layout
