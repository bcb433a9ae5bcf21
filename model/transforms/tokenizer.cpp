#include "model/transforms/tokenizer.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <queue>
#include <string>
#include <unordered_map>
#include <utility>

#include "model/transforms/bpe_vocabulary.h"
#include "model/transforms/utf8.h"

namespace vlaserve {
namespace {

constexpr std::string_view kEscapedSpace = "\xe2\x96\x81";          // U+2581
constexpr std::string_view kReplacementCharacter = "\xef\xbf\xbd";  // U+FFFD
constexpr size_t kNone = std::numeric_limits<size_t>::max();

// What the encoder sees: spaces escaped, and only valid UTF-8.
std::string NormalizeText(std::string_view text) {
  std::string normalized;
  normalized.reserve(text.size() + text.size() / 2);
  while (!text.empty()) {
    const size_t length = Utf8CharacterLength(text);
    if (length == 0) {
      normalized += kReplacementCharacter;
    } else if (text.front() == ' ') {
      normalized += kEscapedSpace;
    } else {
      normalized += text.substr(0, length);
    }
    text.remove_prefix(std::max(length, size_t{1}));
  }
  return normalized;
}

// Merges the characters of one text into pieces: the adjacent pair whose concatenation is the piece
// of the highest score first, the leftmost of equals.
class BpeMerger {
 public:
  // `text` is normalised; it and the vocabulary outlive the merger.
  BpeMerger(const BpeVocabulary& vocabulary, std::string_view text)
      : vocabulary_(vocabulary), text_(text) {}

  std::vector<int32_t> Run() {
    SplitIntoSymbols();
    for (size_t i = 1; i < symbols_.size(); ++i) AddCandidate(i - 1, i);
    while (!candidates_.empty()) {
      const Candidate best = candidates_.top();
      candidates_.pop();
      if (IsCurrent(best)) Merge(best);
    }
    std::vector<int32_t> ids;
    for (size_t i = symbols_.empty() ? kNone : 0; i != kNone; i = symbols_[i].next) {
      AppendSymbol(Piece(symbols_[i]), ids);
    }
    return ids;
  }

 private:
  // A doubly linked list over the text; a symbol that was merged into its left neighbour has size
  // 0.
  struct Symbol {
    size_t begin = 0;
    size_t size = 0;
    size_t previous = kNone;
    size_t next = kNone;
    bool user_defined = false;  // never merged
  };

  struct Candidate {
    float score = 0.0f;
    size_t left = 0;
    size_t right = 0;
    size_t size = 0;  // of both together when the candidate was found

    // Order of the priority queue: true if `other` is merged first.
    bool operator<(const Candidate& other) const {
      return score != other.score ? score < other.score : left > other.left;
    }
  };

  std::string_view Piece(const Symbol& symbol) const {
    return text_.substr(symbol.begin, symbol.size);
  }

  void SplitIntoSymbols() {
    for (size_t begin = 0; begin < text_.size();) {
      Symbol symbol;
      symbol.begin = begin;
      const std::string_view rest = text_.substr(begin);
      symbol.size = vocabulary_.user_defined().LongestMatch(rest);
      symbol.user_defined = symbol.size > 0;
      if (!symbol.user_defined) symbol.size = Utf8CharacterLength(rest);
      begin += symbol.size;
      if (!symbols_.empty()) symbol.previous = symbols_.size() - 1;
      if (begin < text_.size()) symbol.next = symbols_.size() + 1;
      symbols_.push_back(symbol);
    }
  }

  void AddCandidate(size_t left, size_t right) {
    if (left == kNone || right == kNone) return;
    if (symbols_[left].user_defined || symbols_[right].user_defined) return;
    const size_t size = symbols_[left].size + symbols_[right].size;
    const std::string_view piece = text_.substr(symbols_[left].begin, size);
    const BpeVocabulary::Entry* entry = vocabulary_.Find(piece);
    if (entry == nullptr) return;
    candidates_.push({entry->score, left, right, size});
    if (entry->unused) unused_splits_[piece] = symbols_[left].size;
  }

  // Whether neither symbol has changed since the candidate was found.
  bool IsCurrent(const Candidate& candidate) const {
    const size_t left_size = symbols_[candidate.left].size;
    const size_t right_size = symbols_[candidate.right].size;
    return left_size > 0 && right_size > 0 && left_size + right_size == candidate.size;
  }

  void Merge(const Candidate& candidate) {
    Symbol& left = symbols_[candidate.left];
    Symbol& right = symbols_[candidate.right];
    left.size = candidate.size;
    left.next = right.next;
    if (right.next != kNone) symbols_[right.next].previous = candidate.left;
    right.size = 0;
    AddCandidate(left.previous, candidate.left);
    AddCandidate(candidate.left, left.next);
  }

  // Appends the ids of one final symbol. Unused pieces fall apart into what they were merged from;
  // an unused single character is unknown.
  void AppendSymbol(std::string_view symbol, std::vector<int32_t>& ids) {
    std::vector<std::string_view> pending = {symbol};
    while (!pending.empty()) {
      const std::string_view piece = pending.back();
      pending.pop_back();
      const BpeVocabulary::Entry* entry = vocabulary_.Find(piece);
      if (entry != nullptr && !entry->unused) {
        ids.push_back(entry->id);
        last_was_unknown_ = false;
        continue;
      }
      const auto split = unused_splits_.find(piece);
      if (split == unused_splits_.end()) {
        AppendUnknown(piece, ids);
      } else {
        pending.push_back(piece.substr(split->second));
        pending.push_back(piece.substr(0, split->second));
      }
    }
  }

  // Bytes where the model has byte fallback, else one unknown id for a whole run.
  void AppendUnknown(std::string_view piece, std::vector<int32_t>& ids) {
    if (vocabulary_.byte_fallback()) {
      for (const char c : piece) ids.push_back(vocabulary_.byte_id(static_cast<uint8_t>(c)));
    } else if (!last_was_unknown_) {
      ids.push_back(vocabulary_.unk_id());
    }
    last_was_unknown_ = true;
  }

  const BpeVocabulary& vocabulary_;
  std::string_view text_;
  std::vector<Symbol> symbols_;
  std::priority_queue<Candidate> candidates_;
  // How many bytes of an unused piece were its left part.
  std::unordered_map<std::string_view, size_t> unused_splits_;
  bool last_was_unknown_ = false;
};

}  // namespace

Tokenizer::Tokenizer(std::shared_ptr<const BpeVocabulary> vocabulary)
    : vocabulary_(std::move(vocabulary)) {}

Result<Tokenizer> Tokenizer::Parse(std::string_view model_bytes, std::string_view origin) {
  auto vocabulary = std::make_shared<BpeVocabulary>();
  const Status status = vocabulary->Load(model_bytes);
  if (!status.ok()) return status.WithContext(origin);
  return Tokenizer(std::move(vocabulary));
}

std::vector<int32_t> Tokenizer::Encode(std::string_view utf8) const {
  const std::string normalized = NormalizeText(utf8);
  return BpeMerger(*vocabulary_, normalized).Run();
}

int64_t Tokenizer::vocab_size() const { return vocabulary_->size(); }
int32_t Tokenizer::bos_id() const { return vocabulary_->bos_id(); }
int32_t Tokenizer::eos_id() const { return vocabulary_->eos_id(); }
int32_t Tokenizer::pad_id() const { return vocabulary_->pad_id(); }
int32_t Tokenizer::unk_id() const { return vocabulary_->unk_id(); }

}  // namespace vlaserve
