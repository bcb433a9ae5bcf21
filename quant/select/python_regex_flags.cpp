#include "quant/select/python_regex_flags.h"

#include <string_view>

namespace vlaserve {
namespace {

// The next character: a flag or one of `others`.
Result<char32_t> TakeFlag(PatternReader& reader, std::u32string_view others,
                          const std::string& missing) {
  const size_t begin = reader.position();
  if (reader.AtEnd()) return reader.Error(missing, begin);
  const char32_t c = reader.Take();
  if (IsRegexFlag(c) || others.find(c) != std::u32string_view::npos) return c;
  return reader.Error(IsAsciiLetter(c) ? "unknown flag" : missing, begin);
}

// What follows "-", up to and with the ":".
Status ReadRemoved(PatternReader& reader, RegexFlags& flags) {
  VLASERVE_ASSIGN_OR_RETURN(char32_t c, TakeFlag(reader, U"", "missing flag"));
  while (c != U':') {
    const auto flag = static_cast<char>(c);
    if (flag == 'a' || flag == 'u' || flag == 'L') {
      return reader.Error("bad inline flags: cannot turn off flags 'a', 'u' and 'L'",
                          reader.position());
    }
    flags.remove += flag;
    VLASERVE_ASSIGN_OR_RETURN(c, TakeFlag(reader, U":", "missing :"));
  }
  if (!flags.Removes('t')) return Status::Ok();
  return reader.Error("bad inline flags: cannot turn off global flag", reader.position() - 1);
}

}  // namespace

bool IsRegexFlag(char32_t c) {
  return c < 0x80 && std::string_view("iLmsxatu").find(static_cast<char>(c)) != std::string::npos;
}

Result<RegexFlags> ReadRegexFlags(PatternReader& reader, char32_t first) {
  RegexFlags flags;
  char32_t c = first;
  while (c != U'-' && c != U')' && c != U':') {
    const auto flag = static_cast<char>(c);
    flags.add += flag;
    if (flag == 'L') {
      return reader.Error("bad inline flags: cannot use 'L' flag with a str pattern",
                          reader.position());
    }
    if (flags.Adds('a') && flags.Adds('u')) {
      return reader.Error("bad inline flags: flags 'a', 'u' and 'L' are incompatible",
                          reader.position());
    }
    VLASERVE_ASSIGN_OR_RETURN(c, TakeFlag(reader, U")-:", "missing -, : or )"));
  }
  flags.global = c == U')';
  if (flags.global) return flags;
  if (flags.Adds('t')) {
    return reader.Error("bad inline flags: cannot turn on global flag", reader.position() - 1);
  }
  if (c == U'-') VLASERVE_RETURN_IF_ERROR(ReadRemoved(reader, flags));
  for (const char flag : flags.add) {
    if (flags.Removes(flag)) {
      return reader.Error("bad inline flags: flag turned on and off", reader.position() - 1);
    }
  }
  return flags;
}

}  // namespace vlaserve
