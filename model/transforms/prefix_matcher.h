// Longest prefix among a fixed set of words.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>
#include <vector>

namespace vlaserve {

// Immutable after construction; any thread may read. Does not own the text of the words.
class PrefixMatcher {
 public:
  PrefixMatcher() = default;
  explicit PrefixMatcher(std::vector<std::string_view> words);

  // Length of the longest word that `text` starts with; 0 if there is none. Takes time in
  // proportion to that of the longest common prefix with any word.
  size_t LongestMatch(std::string_view text) const;

 private:
  std::vector<std::string_view> words_;  // sorted, not empty, distinct
  std::array<bool, 256> starts_word_{};  // by first byte
};

}  // namespace vlaserve
