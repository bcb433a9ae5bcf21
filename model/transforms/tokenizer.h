// The tokenizer of π0 and π0.5: SentencePiece BPE as PaliGemma uses it.
//
// Reads SentencePiece's `tokenizer.model` (protobuf `sentencepiece.ModelProto`, see the project's
// src/sentencepiece_model.proto) and encodes as its `SentencePieceProcessor::Encode` does, id by
// id (bpe_model.cc, normalizer.cc, sentencepiece_processor.cc; release 0.2).
//
// Scope: BPE models with identity normalisation, no dummy prefix, extra white space kept, white
// space escaped as U+2581; with or without byte fallback; user-defined and unused pieces. Unigram,
// word and character models and all other normalisations are refused by name. Not here: decoding,
// sampling, and Hugging Face's habit of turning literal control pieces ("<bos>") in a text into
// control ids: like SentencePiece, this tokenizer never produces a control id from text.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "model/io/status.h"

namespace vlaserve {

class BpeVocabulary;

// Immutable after Parse; any thread may encode. Copies share the vocabulary.
class Tokenizer {
 public:
  // Parses a tokenizer.model. `origin` (a file name) starts every message. kUnreadable names the
  // byte where the file is damaged or the piece that contradicts the others; kUnsupported names the
  // option that is out of scope.
  static Result<Tokenizer> Parse(std::string_view model_bytes, std::string_view origin);

  // The ids of a text, without BOS or EOS. Every byte that is not part of valid UTF-8 counts as
  // U+FFFD. O(n log n) in the length of the text, whatever it holds.
  std::vector<int32_t> Encode(std::string_view utf8) const;

  // Number of pieces; ids are 0 … vocab_size() - 1.
  int64_t vocab_size() const;
  // -1 where the model has no such control piece (BOS and UNK always exist).
  int32_t bos_id() const;
  int32_t eos_id() const;
  int32_t pad_id() const;
  int32_t unk_id() const;

 private:
  explicit Tokenizer(std::shared_ptr<const BpeVocabulary> vocabulary);
  std::shared_ptr<const BpeVocabulary> vocabulary_;
};

}  // namespace vlaserve
