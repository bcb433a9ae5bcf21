#include "model/transforms/prefix_matcher.h"

#include <algorithm>
#include <cstddef>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/catch.h"

namespace vlaserve {
namespace {

TEST_CASE("the longest word at the start of the text is found", "[prefix_matcher]") {
  const PrefixMatcher matcher({"ab", "a", "abcd", "b", "\xe2\x96\x81", "ab"});
  CHECK(matcher.LongestMatch("abc") == 2);
  CHECK(matcher.LongestMatch("abcd") == 4);
  CHECK(matcher.LongestMatch("abcx") == 2);
  CHECK(matcher.LongestMatch("a") == 1);
  CHECK(matcher.LongestMatch("xa") == 0);
  CHECK(matcher.LongestMatch("\xe2\x96\x81\xe2") == 3);
  CHECK(matcher.LongestMatch("\xe2\x96") == 0);
  CHECK(matcher.LongestMatch("") == 0);
  CHECK(PrefixMatcher().LongestMatch("a") == 0);
}

TEST_CASE("matches agree with trying every word", "[prefix_matcher]") {
  std::mt19937 random(3);
  const auto random_text = [&](size_t longest) {
    std::string text(1 + random() % longest, ' ');
    for (char& c : text) c = "ab\x80\xff"[random() % 4];
    return text;
  };
  std::vector<std::string> words(60);
  for (std::string& word : words) word = random_text(6);
  const PrefixMatcher matcher(std::vector<std::string_view>(words.begin(), words.end()));
  for (int i = 0; i < 2000; ++i) {
    const std::string text = random_text(9);
    size_t expected = 0;
    for (const std::string& word : words) {
      if (text.starts_with(word)) expected = std::max(expected, word.size());
    }
    CHECK(matcher.LongestMatch(text) == expected);
  }
}

}  // namespace
}  // namespace vlaserve
