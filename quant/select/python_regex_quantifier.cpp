#include "quant/select/python_regex_quantifier.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace vlaserve {
namespace {

constexpr int64_t kMaxPcre2Repeat = 65'535;

struct Bounds {
  int64_t least = 0;
  int64_t most = kUnbounded;
};

// The digits of the bounds behind a "{"; nothing if the brace stands for itself.
std::optional<std::pair<std::u32string, std::u32string>> ReadBraces(PatternReader& reader) {
  const size_t begin = reader.position();
  if (reader.NextIs(U'}')) return std::nullopt;
  const auto digits = [&] {
    return reader.TakeWhile(SIZE_MAX, [](char32_t c) { return c >= U'0' && c <= U'9'; });
  };
  const std::u32string low = digits();
  const std::u32string high = reader.Match(U',') ? digits() : low;
  if (reader.Match(U'}')) return std::pair(low, high);
  reader.Seek(begin);
  return std::nullopt;
}

int64_t Number(std::u32string_view digits) {
  int64_t value = 0;
  for (const char32_t d : digits) {
    value = std::min(value * 10 + static_cast<int64_t>(d - U'0'), kUnbounded);
  }
  return value;
}

// `begin`: of the brace.
Result<Bounds> BoundsOf(const std::pair<std::u32string, std::u32string>& digits,
                        const PatternReader& reader, size_t begin) {
  Bounds bounds;
  const bool bounded = !digits.second.empty();
  if (!digits.first.empty()) bounds.least = Number(digits.first);
  if (bounded) bounds.most = Number(digits.second);
  if (bounds.least >= kUnbounded || (bounded && bounds.most >= kUnbounded)) {
    return reader.Error("the repetition number is too large", reader.position());
  }
  if (bounds.most < bounds.least) {
    return reader.Error("min repeat greater than max repeat", begin + 1);
  }
  if (bounds.least > kMaxPcre2Repeat || (bounded && bounds.most > kMaxPcre2Repeat)) {
    return reader.Error("not supported: more than 65535 repetitions", begin);
  }
  return bounds;
}

}  // namespace

Result<bool> AddQuantifier(PatternReader& reader, char32_t c, size_t begin,
                           RegexSequence& sequence) {
  Bounds bounds{c == U'+' ? 1 : 0, c == U'?' ? 1 : kUnbounded};
  if (c == U'{') {
    const auto digits = ReadBraces(reader);
    if (!digits) return false;
    VLASERVE_ASSIGN_OR_RETURN(bounds, BoundsOf(*digits, reader, begin));
  }
  if (sequence.kind == ItemKind::kNone || sequence.kind == ItemKind::kAnchor) {
    return reader.Error("nothing to repeat", begin);
  }
  if (sequence.kind == ItemKind::kRepeat) return reader.Error("multiple repeat", begin);
  sequence.item += '{';
  sequence.item += std::to_string(bounds.least) + ",";
  if (bounds.most != kUnbounded) sequence.item += std::to_string(bounds.most);
  sequence.item += '}';
  if (reader.Match(U'?')) {
    sequence.item += "?";
  } else if (reader.Match(U'+')) {
    sequence.item += "+";
  }
  sequence.kind = ItemKind::kRepeat;
  sequence.item_width = sequence.item_width.Times(bounds.least, bounds.most);
  return true;
}

}  // namespace vlaserve
