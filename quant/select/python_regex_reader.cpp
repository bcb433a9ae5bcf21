#include "quant/select/python_regex_reader.h"

#include <algorithm>
#include <cstdint>

namespace vlaserve {
namespace {

constexpr size_t kMaxPatternBytes = 16384;

// The code point that begins at text[at], `at` moved behind it; nothing if that is not UTF-8.
std::optional<char32_t> DecodeUtf8(std::string_view text, size_t& at) {
  const auto first = static_cast<unsigned char>(text[at++]);
  if (first < 0x80) return first;
  const int more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
  if (first < 0xC2 || first > 0xF4) return std::nullopt;
  char32_t c = first & (0x3Fu >> more);
  for (int i = 0; i < more; ++i) {
    if (at == text.size()) return std::nullopt;
    const auto byte = static_cast<unsigned char>(text[at++]);
    if ((byte & 0xC0u) != 0x80) return std::nullopt;
    c = (c << 6) | (byte & 0x3Fu);
  }
  constexpr char32_t kSmallest[] = {0, 0x80, 0x800, 0x10000};
  const bool valid = c >= kSmallest[more] && c <= 0x10FFFF && (c < 0xD800 || c > 0xDFFF);
  return valid ? std::optional(c) : std::nullopt;
}

}  // namespace

bool IsAsciiLetter(char32_t c) { return (c | 0x20) >= U'a' && (c | 0x20) <= U'z'; }

void AppendUtf8(char32_t c, std::string& text) {
  const auto add = [&](char32_t byte) { text += static_cast<char>(static_cast<uint8_t>(byte)); };
  if (c < 0x80) {
    add(c);
  } else if (c < 0x800) {
    add(0xC0 | (c >> 6));
    add(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    add(0xE0 | (c >> 12));
    add(0x80 | ((c >> 6) & 0x3F));
    add(0x80 | (c & 0x3F));
  } else {
    add(0xF0 | (c >> 18));
    add(0x80 | ((c >> 12) & 0x3F));
    add(0x80 | ((c >> 6) & 0x3F));
    add(0x80 | (c & 0x3F));
  }
}

std::string Utf8(std::u32string_view text) {
  std::string utf8;
  for (const char32_t c : text) AppendUtf8(c, utf8);
  return utf8;
}

Result<PatternReader> PatternReader::Open(std::string_view text) {
  if (text.size() > kMaxPatternBytes) {
    return Status(StatusCode::kInvalidArgument, "not supported: an expression of more than " +
                                                    std::to_string(kMaxPatternBytes) + " bytes");
  }
  std::u32string characters;
  for (size_t at = 0; at < text.size();) {
    const auto c = DecodeUtf8(text, at);
    if (!c) return Status(StatusCode::kInvalidArgument, "the expression is not UTF-8");
    characters += *c;
  }
  return PatternReader(std::move(characters));
}

std::string PatternReader::TextFrom(size_t begin) const {
  return Utf8(std::u32string_view(text_).substr(begin, position_ - begin));
}

Result<std::u32string> PatternReader::TakeUntil(char32_t terminator, std::string_view name) {
  const size_t begin = position_;
  const std::u32string taken = TakeWhile(text_.size(), [=](char32_t c) { return c != terminator; });
  if (AtEnd()) {
    if (taken.empty()) return Error("missing " + std::string(name), position_);
    return Error("missing " + Utf8({&terminator, 1}) + ", unterminated name", begin);
  }
  if (taken.empty()) return Error("missing " + std::string(name), begin);
  Take();
  return taken;
}

Status PatternReader::Error(std::string_view message, size_t position) const {
  std::string text = std::string(message) + " at position " + std::to_string(position);
  if (text_.find(U'\n') != std::u32string::npos) {
    const std::u32string_view before = std::u32string_view(text_).substr(0, position);
    const auto line = 1 + std::count(before.begin(), before.end(), U'\n');
    const size_t newline = before.rfind(U'\n');
    const size_t column = newline == std::u32string_view::npos ? position + 1 : position - newline;
    text += " (line " + std::to_string(line) + ", column " + std::to_string(column) + ")";
  }
  return {StatusCode::kInvalidArgument, text};
}

}  // namespace vlaserve
