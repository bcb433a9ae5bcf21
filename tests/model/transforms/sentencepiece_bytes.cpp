#include "tests/model/transforms/sentencepiece_bytes.h"

#include <bit>
#include <cstdio>

namespace vlaserve {
namespace {

std::string Varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(0x80 | (value & 0x7F));
  bytes += static_cast<char>(value);
  return bytes;
}

}  // namespace

std::string VarintField(uint32_t number, uint64_t value) {
  return Varint(uint64_t{number} << 3) + Varint(value);
}

std::string BytesField(uint32_t number, std::string_view bytes) {
  std::string field = Varint(uint64_t{number} << 3 | 2) + Varint(bytes.size());
  field += bytes;
  return field;
}

std::string FloatField(uint32_t number, float value) {
  std::string field = Varint(uint64_t{number} << 3 | 5);
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  for (int shift = 0; shift < 32; shift += 8) field += static_cast<char>(bits >> shift & 0xFF);
  return field;
}

std::string PieceField(std::string_view text, float score, PieceType type) {
  return BytesField(
      1, BytesField(1, text) + FloatField(2, score) + VarintField(3, static_cast<uint64_t>(type)));
}

std::string BpeTrainerSpec(bool byte_fallback) {
  return BytesField(2, VarintField(3, 2) + VarintField(35, byte_fallback ? 1 : 0) +
                           BytesField(46, "<bos>") + BytesField(47, "<eos>"));
}

std::string IdentityNormalizerSpec() {
  return BytesField(
      3, BytesField(1, "identity") + VarintField(3, 0) + VarintField(4, 0) + VarintField(5, 1));
}

std::string SpecialPieces() {
  return PieceField("<pad>", 0, PieceType::kControl) + PieceField("<eos>", 0, PieceType::kControl) +
         PieceField("<bos>", 0, PieceType::kControl) + PieceField("<unk>", 0, PieceType::kUnknown);
}

std::string BytePieces() {
  std::string pieces;
  for (unsigned byte = 0; byte < 256; ++byte) {
    char text[16];
    std::snprintf(text, sizeof text, "<0x%02X>", byte);
    pieces += PieceField(text, 0, PieceType::kByte);
  }
  return pieces;
}

}  // namespace vlaserve
