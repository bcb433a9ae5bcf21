// What the parts of a Python regular expression are while it is being translated. Used by
// python_regex_translate.cpp and its parts only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

namespace vlaserve {

// Python's limit of repetitions, and of widths.
inline constexpr int64_t kUnbounded = int64_t{1} << 32;

// How many characters something matches, from … to.
struct RegexWidth {
  int64_t low = 0;
  int64_t high = 0;

  RegexWidth operator+(RegexWidth other) const {
    return {std::min(low + other.low, kUnbounded), std::min(high + other.high, kUnbounded)};
  }
  RegexWidth Or(RegexWidth other) const {
    return {std::min(low, other.low), std::max(high, other.high)};
  }
  RegexWidth Times(int64_t least, int64_t most) const {
    const auto product = [](int64_t a, int64_t b) {
      return a != 0 && b > kUnbounded / a ? kUnbounded : std::min(a * b, kUnbounded);
    };
    return {product(low, least), product(high, most)};
  }
};

// The last thing of a sequence, which a quantifier applies to.
enum class ItemKind { kNone, kAnchor, kRepeat, kOther };

struct RegexSequence {
  std::string text;  // without the last item
  std::string item;
  ItemKind kind = ItemKind::kNone;
  RegexWidth width;  // without the last item
  RegexWidth item_width;

  void Add(std::string next, ItemKind next_kind, RegexWidth next_width) {
    text += item;
    width = width + item_width;
    item = std::move(next);
    kind = next_kind;
    item_width = next_width;
  }
};

struct RegexPart {
  std::string text;
  RegexWidth width;
};

// Flags that may differ from place to place.
struct RegexScope {
  bool verbose = false;
  bool ascii = false;
  int depth = 0;
};

}  // namespace vlaserve
