#include "model/transforms/prefix_matcher.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace vlaserve {
namespace {

unsigned char ByteAt(std::string_view text, size_t i) {
  return static_cast<unsigned char>(text[i]);
}

}  // namespace

PrefixMatcher::PrefixMatcher(std::vector<std::string_view> words) : words_(std::move(words)) {
  // std::string_view compares as unsigned bytes, like ByteAt.
  std::sort(words_.begin(), words_.end());
  words_.erase(std::unique(words_.begin(), words_.end()), words_.end());
  for (const std::string_view word : words_) {
    assert(!word.empty());
    starts_word_[ByteAt(word, 0)] = true;
  }
}

size_t PrefixMatcher::LongestMatch(std::string_view text) const {
  if (text.empty() || !starts_word_[ByteAt(text, 0)]) return 0;
  // [first, last) are the words that share the first `length` bytes with the text; the shortest of
  // them, if it ends there, comes first.
  auto first = words_.begin();
  auto last = words_.end();
  size_t longest = 0;
  for (size_t length = 0; length < text.size() && first != last; ++length) {
    const unsigned char byte = ByteAt(text, length);
    if (first->size() == length) ++first;
    first = std::partition_point(
        first, last, [&](std::string_view word) { return ByteAt(word, length) < byte; });
    last = std::partition_point(
        first, last, [&](std::string_view word) { return ByteAt(word, length) == byte; });
    if (first != last && first->size() == length + 1) longest = length + 1;
  }
  return longest;
}

}  // namespace vlaserve
