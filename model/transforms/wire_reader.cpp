#include "model/transforms/wire_reader.h"

#include <limits>
#include <string>

namespace vlaserve {

Status WireReader::Damaged(size_t position, std::string_view what) const {
  return Status(StatusCode::kUnreadable,
                "byte " + std::to_string(message_offset_ + position) + ": " + std::string(what));
}

Result<uint64_t> WireReader::ReadVarint() {
  const size_t start = position_;
  uint64_t value = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    if (position_ == message_.size()) return Damaged(start, "varint is cut off");
    const uint64_t byte = static_cast<unsigned char>(message_[position_++]);
    value |= (byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  return Damaged(start, "varint has more than 10 bytes");
}

Result<uint64_t> WireReader::ReadFixed(size_t size) {
  if (message_.size() - position_ < size) {
    return Damaged(position_, "fixed-size value is cut off");
  }
  uint64_t value = 0;
  for (size_t i = 0; i < size; ++i) {
    value |= uint64_t{static_cast<unsigned char>(message_[position_ + i])} << (8 * i);
  }
  position_ += size;
  return value;
}

Result<std::optional<WireField>> WireReader::Next() {
  if (position_ == message_.size()) return std::optional<WireField>();
  const size_t start = position_;
  VLASERVE_ASSIGN_OR_RETURN(const uint64_t tag, ReadVarint());
  const uint64_t number = tag >> 3;
  if (number == 0 || number > std::numeric_limits<uint32_t>::max() >> 3) {
    return Damaged(start, "field number " + std::to_string(number) + " is not valid");
  }
  WireField field;
  field.number = static_cast<uint32_t>(number);
  field.offset = message_offset_ + start;
  switch (tag & 7) {
    case 0: {
      VLASERVE_ASSIGN_OR_RETURN(field.value, ReadVarint());
      field.type = WireType::kVarint;
      break;
    }
    case 1: {
      VLASERVE_ASSIGN_OR_RETURN(field.value, ReadFixed(8));
      field.type = WireType::kFixed64;
      break;
    }
    case 2: {
      VLASERVE_ASSIGN_OR_RETURN(const uint64_t size, ReadVarint());
      if (size > message_.size() - position_) {
        return Damaged(start, "field " + std::to_string(number) + " claims " +
                                  std::to_string(size) + " bytes, " +
                                  std::to_string(message_.size() - position_) + " are left");
      }
      field.bytes = message_.substr(position_, static_cast<size_t>(size));
      field.type = WireType::kBytes;
      position_ += static_cast<size_t>(size);
      break;
    }
    case 5: {
      VLASERVE_ASSIGN_OR_RETURN(field.value, ReadFixed(4));
      field.type = WireType::kFixed32;
      break;
    }
    default:
      return Damaged(start, "wire type " + std::to_string(tag & 7) + " is not valid here");
  }
  return std::optional<WireField>(field);
}

Status ExpectWireType(const WireField& field, WireType type, std::string_view name) {
  if (field.type == type) return Status::Ok();
  return Status(StatusCode::kUnreadable,
                "byte " + std::to_string(field.offset) + ": " + std::string(name) +
                    " has wire type " + std::to_string(static_cast<int>(field.type)) +
                    ", expected " + std::to_string(static_cast<int>(type)));
}

}  // namespace vlaserve
