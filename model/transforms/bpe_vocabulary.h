// The vocabulary of a SentencePiece BPE model, indexed for encoding.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "model/io/status.h"
#include "model/transforms/prefix_matcher.h"
#include "model/transforms/sentencepiece_model.h"

namespace vlaserve {

// Holds the bytes that its views point into, so it stays where it was built. Immutable after Load;
// any thread may read.
class BpeVocabulary {
 public:
  // A piece that text can match: as a character or as the result of a merge.
  struct Entry {
    int32_t id = 0;
    float score = 0.0f;   // pieces of higher score are merged first
    bool unused = false;  // is split again into what it was merged from
  };

  BpeVocabulary() = default;
  BpeVocabulary(const BpeVocabulary&) = delete;
  BpeVocabulary& operator=(const BpeVocabulary&) = delete;

  // Fills the vocabulary; call once. kUnreadable names byte and piece: pieces that are empty, not
  // UTF-8 or defined twice, no or two unknown pieces, no BOS, an incomplete set of byte pieces.
  // kUnsupported as ParseSentencePieceModel.
  Status Load(std::string_view model_bytes);

  // Null if text cannot match such a piece (control, unknown and byte pieces are never matched).
  const Entry* Find(std::string_view piece) const {
    const auto found = entries_.find(piece);
    return found == entries_.end() ? nullptr : &found->second;
  }
  const PrefixMatcher& user_defined() const { return user_defined_; }
  bool byte_fallback() const { return byte_fallback_; }
  // The id of "<0xNN>". Precondition: byte_fallback().
  int32_t byte_id(uint8_t byte) const { return byte_ids_[byte]; }

  int64_t size() const { return size_; }
  int32_t bos_id() const { return bos_id_; }
  int32_t eos_id() const { return eos_id_; }
  int32_t pad_id() const { return pad_id_; }
  int32_t unk_id() const { return unk_id_; }

 private:
  Status AddPieces(const SentencePieceModel& model);
  Status FindBytePieces(const SentencePieceModel& model);

  std::string model_bytes_;
  std::unordered_map<std::string_view, Entry> entries_;
  // Control, unknown and byte pieces.
  std::unordered_map<std::string_view, int32_t> reserved_;
  PrefixMatcher user_defined_;
  bool byte_fallback_ = false;
  std::array<int32_t, 256> byte_ids_{};
  int64_t size_ = 0;
  int32_t bos_id_ = -1;
  int32_t eos_id_ = -1;
  int32_t pad_id_ = -1;
  int32_t unk_id_ = -1;
};

}  // namespace vlaserve
