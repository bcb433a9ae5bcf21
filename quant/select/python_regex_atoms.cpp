#include "quant/select/python_regex_atoms.h"

#include <string_view>

namespace vlaserve {
namespace {

bool IsDigit(char32_t c) { return c >= U'0' && c <= U'9'; }
bool IsOctalDigit(char32_t c) { return c >= U'0' && c <= U'7'; }
bool IsHexDigit(char32_t c) {
  return IsDigit(c) || (c >= U'a' && c <= U'f') || (c >= U'A' && c <= U'F');
}

char32_t Number(std::u32string_view digits, unsigned base) {
  char32_t number = 0;
  for (const char32_t c : digits) {
    const char32_t digit = IsDigit(c) ? c - U'0' : (c | 0x20) - U'a' + 10;
    number = number * base + digit;
  }
  return number;
}

// The control characters with a letter of their own; 0 for other letters.
char32_t ControlCharacter(char32_t letter) {
  switch (letter) {
    case U'a':
      return 0x07;
    case U'f':
      return 0x0C;
    case U'n':
      return 0x0A;
    case U'r':
      return 0x0D;
    case U't':
      return 0x09;
    case U'v':
      return 0x0B;
    default:
      return 0;
  }
}

constexpr std::u32string_view kCategories = U"dDsSwW";
constexpr std::u32string_view kAnchors = U"AbBZ";

// An escape being read: where its backslash stands, and what it gives.
class EscapeReader {
 public:
  explicit EscapeReader(PatternReader& reader, bool in_set)
      : reader_(reader), begin_(reader.position() - 1), in_set_(in_set) {}

  Result<RegexEscape> Read() {
    if (reader_.AtEnd()) return reader_.Error("bad escape (end of pattern)", begin_);
    const char32_t c = reader_.Take();
    if (const char32_t control = ControlCharacter(c)) return Character(control);
    if (in_set_ && c == U'b') return Character(0x08);
    if (kCategories.find(c) != std::u32string_view::npos) {
      return Finish({RegexEscape::Kind::kCategory, c, 0, ""});
    }
    if (!in_set_ && kAnchors.find(c) != std::u32string_view::npos) {
      return Finish({RegexEscape::Kind::kAnchor, c, 0, ""});
    }
    if (c == U'x') return Hexadecimal(2);
    if (c == U'u') return Hexadecimal(4);
    if (c == U'U') return Hexadecimal(8);
    if (c == U'N') {
      return reader_.Error("not supported: characters by name (\\N{…}); write \\uXXXX", begin_);
    }
    if (IsDigit(c)) return in_set_ ? OctalInSet(c) : OctalOrGroup(c);
    if (IsAsciiLetter(c)) return BadEscape();
    return Character(c);
  }

 private:
  Result<RegexEscape> Finish(RegexEscape escape) const {
    escape.source = reader_.TextFrom(begin_);
    return escape;
  }
  Result<RegexEscape> Character(char32_t c) const {
    return Finish({RegexEscape::Kind::kCharacter, c, 0, ""});
  }
  Status BadEscape() const {
    return reader_.Error("bad escape " + reader_.TextFrom(begin_), begin_);
  }

  Result<RegexEscape> Hexadecimal(size_t digits) {
    const std::u32string taken = reader_.TakeWhile(digits, IsHexDigit);
    if (taken.size() != digits) {
      return reader_.Error("incomplete escape " + reader_.TextFrom(begin_), begin_);
    }
    const char32_t c = Number(taken, 16);
    if (c > 0x10FFFF) return BadEscape();
    if (c >= 0xD800 && c <= 0xDFFF) {
      return reader_.Error("not supported: surrogate " + reader_.TextFrom(begin_), begin_);
    }
    return Character(c);
  }

  Result<RegexEscape> Octal(std::u32string_view digits) const {
    const char32_t c = Number(digits, 8);
    if (c > 0377) {
      return reader_.Error(
          "octal escape value " + reader_.TextFrom(begin_) + " outside of range 0-0o377", begin_);
    }
    return Character(c);
  }

  Result<RegexEscape> OctalInSet(char32_t first) {
    if (!IsOctalDigit(first)) return BadEscape();
    return Octal(first + reader_.TakeWhile(2, IsOctalDigit));
  }

  // \0, \07, \012 and \123 are octal; \1 and \12 are groups.
  Result<RegexEscape> OctalOrGroup(char32_t first) {
    if (first == U'0') return Octal(first + reader_.TakeWhile(2, IsOctalDigit));
    std::u32string digits(1, first);
    digits += reader_.TakeWhile(1, IsDigit);
    if (digits.size() == 2 && IsOctalDigit(digits[0]) && IsOctalDigit(digits[1]) &&
        IsOctalDigit(reader_.Peek())) {
      return Octal(digits + reader_.Take());
    }
    return Finish({RegexEscape::Kind::kGroup, 0, static_cast<int64_t>(Number(digits, 10)), ""});
  }

  PatternReader& reader_;
  size_t begin_;
  bool in_set_;
};

// A category among the members of a set, which must not open a set of its own.
std::string CategoryMember(char32_t letter, bool ascii) {
  if (!ascii && letter == U's') return R"(\s\x{1c}-\x{1f})";
  if (!ascii && letter == U'S') return R"(\x{0}-\x{8}\x{e}-\x{1b}\x{21}-\x{10ffff})";
  return {'\\', static_cast<char>(letter)};
}

// One member of a set, or one end of a range.
Result<RegexEscape> ReadMember(PatternReader& reader) {
  const size_t begin = reader.position();
  const char32_t c = reader.Take();
  if (c == U'\\') return EscapeReader(reader, /*in_set=*/true).Read();
  return RegexEscape{RegexEscape::Kind::kCharacter, c, 0, reader.TextFrom(begin)};
}

}  // namespace

Result<RegexEscape> ReadEscape(PatternReader& reader) {
  return EscapeReader(reader, /*in_set=*/false).Read();
}

std::string CategoryAtom(char32_t letter, bool ascii) {
  if (!ascii && (letter == U's' || letter == U'S')) {
    return letter == U's' ? R"([\s\x{1c}-\x{1f}])" : R"([^\s\x{1c}-\x{1f}])";
  }
  return {'\\', static_cast<char>(letter)};
}

std::string LiteralAtom(char32_t c) {
  if (IsDigit(c) || IsAsciiLetter(c) || c == U'_') return Utf8({&c, 1});
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hexadecimal;
  for (char32_t rest = c; rest != 0 || hexadecimal.empty(); rest /= 16) {
    hexadecimal.insert(hexadecimal.begin(), kDigits[rest % 16]);
  }
  return "\\x{" + hexadecimal + "}";
}

Result<CharacterSet> ReadSet(PatternReader& reader, bool ascii) {
  const size_t begin = reader.position() - 1;
  const auto unterminated = [&] { return reader.Error("unterminated character set", begin); };
  CharacterSet set{reader.Match(U'^') ? "[^" : "[", false};
  const auto add = [&](const RegexEscape& member) {
    const bool category = member.kind == RegexEscape::Kind::kCategory;
    set.text += category ? CategoryMember(member.character, ascii) : LiteralAtom(member.character);
    if (member.character > 0x7F) set.has_non_ascii = true;
  };
  for (bool first = true;; first = false) {
    if (reader.AtEnd()) return unterminated();
    if (!first && reader.Match(U']')) break;
    const size_t low_begin = reader.position();
    VLASERVE_ASSIGN_OR_RETURN(const RegexEscape low, ReadMember(reader));
    add(low);
    if (!reader.Match(U'-')) continue;
    if (reader.AtEnd()) return unterminated();
    if (reader.Match(U']')) {
      set.text += LiteralAtom(U'-');
      break;
    }
    VLASERVE_ASSIGN_OR_RETURN(const RegexEscape high, ReadMember(reader));
    if (low.kind != RegexEscape::Kind::kCharacter || high.kind != RegexEscape::Kind::kCharacter ||
        high.character < low.character) {
      return reader.Error("bad character range " + low.source + "-" + high.source, low_begin);
    }
    set.text += "-";
    add(high);
  }
  set.text += "]";
  return set;
}

}  // namespace vlaserve
