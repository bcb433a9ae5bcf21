// Builds tokenizer.model files byte by byte, for tests.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "model/transforms/sentencepiece_model.h"

namespace vlaserve {

// Fields of protobuf's wire format.
std::string VarintField(uint32_t number, uint64_t value);
std::string BytesField(uint32_t number, std::string_view bytes);
std::string FloatField(uint32_t number, float value);

// One entry of ModelProto.pieces.
std::string PieceField(std::string_view text, float score, PieceType type);

// trainer_spec of a BPE model whose special pieces are <pad>, <eos>, <bos> and <unk>.
std::string BpeTrainerSpec(bool byte_fallback);
// normalizer_spec as PaliGemma has it.
std::string IdentityNormalizerSpec();
// Pieces 0 to 3: <pad>, <eos>, <bos>, <unk>.
std::string SpecialPieces();
// <0x00> to <0xFF>.
std::string BytePieces();

}  // namespace vlaserve
