#include "server/config/python_number.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <optional>

namespace vlaserve {
namespace {

// The zeros of all decimal digits (Unicode 14 as in Python 3.11, general category Nd): nine more
// digits follow each.
constexpr char32_t kZeros[] = {
    0x30,    0x660,   0x6f0,   0x7c0,   0x966,   0x9e6,   0xa66,   0xae6,   0xb66,   0xbe6,
    0xc66,   0xce6,   0xd66,   0xde6,   0xe50,   0xed0,   0xf20,   0x1040,  0x1090,  0x17e0,
    0x1810,  0x1946,  0x19d0,  0x1a80,  0x1a90,  0x1b50,  0x1bb0,  0x1c40,  0x1c50,  0xa620,
    0xa8d0,  0xa900,  0xa9d0,  0xa9f0,  0xaa50,  0xabf0,  0xff10,  0x104a0, 0x10d30, 0x11066,
    0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0, 0x11730, 0x118e0,
    0x11950, 0x11c50, 0x11d50, 0x11da0, 0x16a60, 0x16ac0, 0x16b50, 0x1d7ce, 0x1d7d8, 0x1d7e2,
    0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0};

// str.isspace()
constexpr char32_t kBlanks[] = {0x9,    0xa,    0xb,    0xc,    0xd,    0x1c,   0x1d,   0x1e,
                                0x1f,   0x20,   0x85,   0xa0,   0x1680, 0x2000, 0x2001, 0x2002,
                                0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200a,
                                0x2028, 0x2029, 0x202f, 0x205f, 0x3000};

// One character of UTF-8 text; what is not UTF-8 is one byte, and stands for nothing.
struct Character {
  char32_t code = 0;
  size_t bytes = 1;
};

Character CharacterAt(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at);
  if (first < 0x80) return {first, 1};
  const size_t bytes = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || at + bytes > text.size()) return {0xFFFFFFFF, 1};
  char32_t code = first & (0x7Fu >> bytes);
  for (size_t i = 1; i < bytes; ++i) code = (code << 6) | (byte(at + i) & 0x3Fu);
  return {code, bytes};
}

bool IsBlank(char32_t code) {
  return std::find(std::begin(kBlanks), std::end(kBlanks), code) != std::end(kBlanks);
}

// Stripped, with digits of other scripts as ASCII and underscores between digits removed; nothing
// if an underscore stands elsewhere.
std::optional<std::string> Normalized(std::string_view text) {
  const std::string_view stripped = StripPythonBlanks(text);
  std::string ascii;
  for (size_t at = 0; at < stripped.size();) {
    const Character c = CharacterAt(stripped, at);
    const auto* const zero = std::find_if(std::begin(kZeros), std::end(kZeros), [&](char32_t z) {
      return c.code >= z && c.code < z + 10;
    });
    if (zero != std::end(kZeros)) {
      ascii += static_cast<char>('0' + static_cast<int>(c.code - *zero));
    } else {
      ascii.append(stripped.substr(at, c.bytes));
    }
    at += c.bytes;
  }
  const auto is_digit = [&](size_t i) {
    return i < ascii.size() && ascii[i] >= '0' && ascii[i] <= '9';
  };
  std::string plain;
  for (size_t i = 0; i < ascii.size(); ++i) {
    if (ascii[i] != '_') {
      plain += ascii[i];
    } else if (i == 0 || !is_digit(i - 1) || !is_digit(i + 1)) {
      return std::nullopt;
    }
  }
  return plain;
}

// repr(text) for messages.
std::string Repr(std::string_view text) {
  const char quote =
      text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos ? '"'
                                                                                            : '\'';
  std::string repr(1, quote);
  for (const char c : text) {
    if (c == '\n') {
      repr += "\\n";
    } else if (c == '\t') {
      repr += "\\t";
    } else if (c == '\r') {
      repr += "\\r";
    } else if (c == quote || c == '\\') {
      repr += {'\\', c};
    } else {
      repr += c;
    }
  }
  return repr + quote;
}

Status IntError(std::string_view text) {
  return {StatusCode::kInvalidArgument, "invalid literal for int() with base 10: " + Repr(text)};
}

}  // namespace

std::string_view StripPythonBlanks(std::string_view text) {
  while (!text.empty()) {
    const Character first = CharacterAt(text, 0);
    if (!IsBlank(first.code)) break;
    text.remove_prefix(first.bytes);
  }
  while (!text.empty()) {
    size_t last = text.size() - 1;
    while (last > 0 && (static_cast<unsigned char>(text[last]) & 0xC0u) == 0x80) --last;
    if (!IsBlank(CharacterAt(text, last).code)) break;
    text = text.substr(0, last);
  }
  return text;
}

Result<PythonInt> ParsePythonInt(std::string_view text) {
  const std::optional<std::string> plain = Normalized(text);
  if (!plain) return IntError(text);
  std::string_view digits = *plain;
  const bool negative = digits.starts_with('-');
  if (negative || digits.starts_with('+')) digits.remove_prefix(1);
  const bool all_digits = !digits.empty() && std::all_of(digits.begin(), digits.end(), [](char c) {
    return c >= '0' && c <= '9';
  });
  if (!all_digits) return IntError(text);
  digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size() - 1));
  PythonInt number;
  if (negative && digits != "0") number.digits = "-";
  number.digits += digits;
  const auto [end, error] = std::from_chars(
      number.digits.data(), number.digits.data() + number.digits.size(), number.value);
  if (error != std::errc{}) {
    number.value =
        negative ? std::numeric_limits<int64_t>::min() : std::numeric_limits<int64_t>::max();
  }
  return number;
}

Result<double> ParsePythonFloat(std::string_view text) {
  const Status failure(StatusCode::kInvalidArgument,
                       "could not convert string to float: " + Repr(text));
  std::optional<std::string> plain = Normalized(text);
  if (!plain) return failure;
  std::string_view number = *plain;
  const bool negative = number.starts_with('-');
  if (negative || number.starts_with('+')) number.remove_prefix(1);
  std::string lower(number);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  }
  double value = 0;
  if (lower == "inf" || lower == "infinity") {
    value = std::numeric_limits<double>::infinity();
  } else if (lower == "nan") {
    value = std::numeric_limits<double>::quiet_NaN();
  } else {
    const bool starts_well =
        !lower.empty() && (lower[0] == '.' || (lower[0] >= '0' && lower[0] <= '9'));
    const auto [end, error] = std::from_chars(lower.data(), lower.data() + lower.size(), value);
    if (!starts_well || end != lower.data() + lower.size() ||
        error == std::errc::invalid_argument) {
      return failure;
    }
    // Infinity or zero, as there.
    if (error == std::errc::result_out_of_range) value = std::strtod(lower.c_str(), nullptr);
  }
  return negative ? -value : value;
}

bool ParsePythonFlag(std::string_view text) {
  return text != "0" && text != "false" && text != "False";
}

std::vector<std::string> SplitPythonList(std::string_view text) {
  std::vector<std::string> parts;
  while (true) {
    const size_t comma = text.find(',');
    const std::string_view part = StripPythonBlanks(text.substr(0, comma));
    if (!part.empty()) parts.emplace_back(part);
    if (comma == std::string_view::npos) return parts;
    text.remove_prefix(comma + 1);
  }
}

std::vector<std::pair<std::string, PythonInt>> ParseWbits(std::string_view text) {
  std::vector<std::pair<std::string, PythonInt>> entries;
  for (const std::string& part : SplitPythonList(text)) {
    const size_t colon = part.find(':');
    if (colon == std::string::npos || part.find(':', colon + 1) != std::string::npos) continue;
    const auto bits = ParsePythonInt(std::string_view(part).substr(colon + 1));
    if (!bits.ok()) continue;
    entries.emplace_back(StripPythonBlanks(std::string_view(part).substr(0, colon)), *bits);
  }
  return entries;
}

}  // namespace vlaserve
