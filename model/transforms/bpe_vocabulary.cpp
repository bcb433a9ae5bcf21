#include "model/transforms/bpe_vocabulary.h"

#include <cstddef>
#include <cstdio>
#include <limits>
#include <utility>
#include <vector>

#include "model/transforms/utf8.h"

namespace vlaserve {
namespace {

Status BadPiece(const SentencePiece& piece, size_t id, std::string_view what) {
  return Status(StatusCode::kUnreadable, "byte " + std::to_string(piece.offset) + ": piece " +
                                             std::to_string(id) + " " + std::string(what));
}

std::string BytePieceText(size_t byte) {
  char text[8];
  std::snprintf(text, sizeof text, "<0x%02X>", static_cast<unsigned>(byte & 0xFF));
  return text;
}

bool IsValidUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = Utf8CharacterLength(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace

Status BpeVocabulary::Load(std::string_view model_bytes) {
  model_bytes_ = model_bytes;
  VLASERVE_ASSIGN_OR_RETURN(const SentencePieceModel model, ParseSentencePieceModel(model_bytes_));
  VLASERVE_RETURN_IF_ERROR(AddPieces(model));
  if (byte_fallback_) VLASERVE_RETURN_IF_ERROR(FindBytePieces(model));
  if (unk_id_ < 0) return Status(StatusCode::kUnreadable, "the model has no unknown piece");
  if (bos_id_ < 0) {
    return Status(StatusCode::kUnreadable,
                  "the model has no control piece \"" + std::string(model.bos_piece) + "\" (BOS)");
  }
  return Status::Ok();
}

Status BpeVocabulary::AddPieces(const SentencePieceModel& model) {
  if (model.pieces.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    return Status(StatusCode::kUnreadable, "the model has more than 2^31 - 1 pieces");
  }
  size_ = static_cast<int64_t>(model.pieces.size());
  byte_fallback_ = model.byte_fallback;
  entries_.reserve(model.pieces.size());
  std::vector<std::string_view> user_defined;
  for (size_t i = 0; i < model.pieces.size(); ++i) {
    const SentencePiece& piece = model.pieces[i];
    const int32_t id = static_cast<int32_t>(i);
    if (piece.text.empty()) return BadPiece(piece, i, "is empty");
    if (!IsValidUtf8(piece.text)) return BadPiece(piece, i, "is not valid UTF-8");
    bool added = false;
    switch (piece.type) {
      case PieceType::kUserDefined:
        user_defined.push_back(piece.text);
        [[fallthrough]];
      case PieceType::kNormal:
      case PieceType::kUnused: {
        const Entry entry{id, piece.score, piece.type == PieceType::kUnused};
        added = entries_.emplace(piece.text, entry).second;
        break;
      }
      case PieceType::kUnknown:
        if (unk_id_ >= 0) return BadPiece(piece, i, "is a second unknown piece");
        unk_id_ = id;
        added = reserved_.emplace(piece.text, id).second;
        break;
      case PieceType::kControl:
        if (piece.text == model.bos_piece) bos_id_ = id;
        if (piece.text == model.eos_piece) eos_id_ = id;
        if (piece.text == model.pad_piece) pad_id_ = id;
        added = reserved_.emplace(piece.text, id).second;
        break;
      case PieceType::kByte:
        if (!byte_fallback_) {
          return BadPiece(piece, i, "is a byte piece, but trainer_spec.byte_fallback is false");
        }
        added = reserved_.emplace(piece.text, id).second;
        break;
    }
    if (!added) {
      return BadPiece(piece, i, "is defined twice: " + std::string(piece.text));
    }
  }
  user_defined_ = PrefixMatcher(std::move(user_defined));
  return Status::Ok();
}

Status BpeVocabulary::FindBytePieces(const SentencePieceModel& model) {
  for (size_t byte = 0; byte < byte_ids_.size(); ++byte) {
    const std::string text = BytePieceText(byte);
    const auto found = reserved_.find(text);
    if (found == reserved_.end() ||
        model.pieces[static_cast<size_t>(found->second)].type != PieceType::kByte) {
      return Status(StatusCode::kUnreadable,
                    "trainer_spec.byte_fallback is true, but there is no byte piece " + text);
    }
    byte_ids_[byte] = found->second;
  }
  return Status::Ok();
}

}  // namespace vlaserve
