// SentencePiece's `tokenizer.model` as data: the parts of `sentencepiece.ModelProto` that decide
// how text is encoded. Field numbers, defaults and the rules among pieces are those of
// SentencePiece 0.2 (src/sentencepiece_model.proto, src/model_interface.cc).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "model/io/status.h"

namespace vlaserve {

// Values of ModelProto.SentencePiece.Type.
enum class PieceType {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

struct SentencePiece {
  std::string_view text;
  float score = 0.0f;
  PieceType type = PieceType::kNormal;
  size_t offset = 0;  // of the piece in the file, for messages
};

// All views point into the bytes that were parsed. The index of a piece is its id.
struct SentencePieceModel {
  std::vector<SentencePiece> pieces;
  bool byte_fallback = false;
  std::string_view bos_piece = "<s>";
  std::string_view eos_piece = "</s>";
  std::string_view pad_piece = "<pad>";
};

// Parses a model and checks that it is within scope (tokenizer.h). kUnreadable names the damaged
// byte; kUnsupported names the option, its value and what is supported. Rules among pieces are not
// checked here.
Result<SentencePieceModel> ParseSentencePieceModel(std::string_view model_bytes);

}  // namespace vlaserve
