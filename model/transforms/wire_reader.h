// Reader of protobuf's wire format (https://protobuf.dev/programming-guides/encoding/), enough for
// one schema known in advance. Protobuf's own library stays in server/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "model/io/status.h"

namespace vlaserve {

enum class WireType { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

// One field of a message as it stands in the file.
struct WireField {
  uint32_t number = 0;
  WireType type = WireType::kVarint;
  uint64_t value = 0;      // kVarint, kFixed64, kFixed32
  std::string_view bytes;  // kBytes: a view into the message
  size_t offset = 0;       // of the field's tag, in the file
};

// Walks over the fields of one message. The message must outlive the reader and the fields. Not
// thread-safe.
class WireReader {
 public:
  // `offset` is where the message begins in the file; errors name bytes of the file.
  WireReader(std::string_view message, size_t offset)
      : message_(message), message_offset_(offset) {}

  // The next field, or nothing at the end. kUnreadable names the byte: a truncated field, a varint
  // of more than 10 bytes, field number 0 or wire types of groups (3, 4) and 6, 7.
  Result<std::optional<WireField>> Next();

  // Where a kBytes field's content begins in the file.
  size_t ContentOffset(const WireField& field) const {
    return message_offset_ + static_cast<size_t>(field.bytes.data() - message_.data());
  }

 private:
  Result<uint64_t> ReadVarint();
  Result<uint64_t> ReadFixed(size_t size);
  Status Damaged(size_t position, std::string_view what) const;

  std::string_view message_;
  size_t message_offset_;
  size_t position_ = 0;
};

// kUnreadable unless the field has the wire type that the schema gives it; `name` is its name
// there.
Status ExpectWireType(const WireField& field, WireType type, std::string_view name);

}  // namespace vlaserve
