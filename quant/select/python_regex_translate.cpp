#include "quant/select/python_regex_translate.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "quant/select/python_regex_atoms.h"
#include "quant/select/python_regex_flags.h"
#include "quant/select/python_regex_parts.h"
#include "quant/select/python_regex_reader.h"

namespace vlaserve {
namespace {

constexpr int64_t kMaxPcre2Repeat = 65'535;
constexpr int kMaxDepth = 200;  // PCRE2's own limit is 250

bool IsIdentifier(std::u32string_view name) {
  const auto starts = [](char32_t c) { return c == U'_' || IsAsciiLetter(c); };
  return starts(name[0]) && std::all_of(name.begin(), name.end(), [&](char32_t c) {
           return starts(c) || (c >= U'0' && c <= U'9');
         });
}

class Translator {
 public:
  explicit Translator(PatternReader reader) : reader_(std::move(reader)) {}

  Result<TranslatedRegex> Run() {
    VLASERVE_ASSIGN_OR_RETURN(RegexPart whole, ReadAlternatives({}, /*top=*/true));
    if (!reader_.AtEnd()) return reader_.Error("unbalanced parenthesis", reader_.position());
    for (const auto& [group, position] : conditions_) {
      if (group >= GroupCount()) {
        return reader_.Error("invalid group reference " + std::to_string(group), position);
      }
    }
    if (variable_lookbehind_) {
      return Status(StatusCode::kInvalidArgument, "look-behind requires fixed-width pattern");
    }
    if (ignores_case_ && has_non_ascii_) {
      return Status(StatusCode::kInvalidArgument,
                    "not supported: the flag i together with characters that are not ASCII");
    }
    result_.pattern = std::move(whole.text);
    return std::move(result_);
  }

 private:
  int64_t GroupCount() const { return static_cast<int64_t>(groups_.size()); }
  Status Here(std::string_view message) const { return reader_.Error(message, reader_.position()); }

  Result<RegexPart> ReadAlternatives(RegexScope scope, bool top = false) {
    if (scope.depth > kMaxDepth) return Here("not supported: so many nested groups");
    RegexPart all;
    for (bool first = true;; first = false) {
      VLASERVE_ASSIGN_OR_RETURN(RegexPart part, ReadSequence(scope, top && first));
      all.width = first ? part.width : all.width.Or(part.width);
      all.text += part.text;
      if (!reader_.Match(U'|')) return all;
      all.text += "|";
      if (top) scope = {global_verbose_, global_ascii_, scope.depth};
    }
  }

  Result<RegexPart> ReadSequence(RegexScope scope, bool may_set_global_flags) {
    RegexSequence sequence;
    while (!reader_.AtEnd() && !reader_.NextIs(U'|') && !reader_.NextIs(U')')) {
      const size_t begin = reader_.position();
      const char32_t c = reader_.Take();
      if (scope.verbose && SkipVerbose(c)) continue;
      Status status;
      switch (c) {
        case U'\\':
          status = AddEscape(scope, sequence);
          break;
        case U'[':
          status = AddSet(scope, sequence);
          break;
        case U'(':
          status = AddGroup(scope, may_set_global_flags, begin, sequence);
          break;
        case U'*':
        case U'+':
        case U'?':
        case U'{':
          status = AddQuantifier(c, begin, sequence);
          break;
        case U'.':
          sequence.Add(".", ItemKind::kOther, {1, 1});
          break;
        case U'^':
        case U'$':
          sequence.Add(c == U'^' ? "^" : "$", ItemKind::kAnchor, {});
          break;
        default:
          AddLiteral(c, sequence);
      }
      VLASERVE_RETURN_IF_ERROR(status);
    }
    return RegexPart{sequence.text + sequence.item, sequence.width + sequence.item_width};
  }

  // In verbose expressions blanks and comments mean nothing.
  bool SkipVerbose(char32_t c) {
    if (c == U'#') {
      while (!reader_.AtEnd() && reader_.Take() != U'\n') {
      }
      return true;
    }
    return std::u32string_view(U" \t\n\r\v\f").find(c) != std::u32string_view::npos;
  }

  void AddLiteral(char32_t c, RegexSequence& sequence) {
    if (c > 0x7F) has_non_ascii_ = true;
    sequence.Add(LiteralAtom(c), ItemKind::kOther, {1, 1});
  }

  Status AddEscape(RegexScope scope, RegexSequence& sequence) {
    const size_t begin = reader_.position() - 1;
    VLASERVE_ASSIGN_OR_RETURN(const RegexEscape escape, ReadEscape(reader_));
    switch (escape.kind) {
      case RegexEscape::Kind::kCharacter:
        AddLiteral(escape.character, sequence);
        break;
      case RegexEscape::Kind::kCategory:
        sequence.Add(CategoryAtom(escape.character, scope.ascii), ItemKind::kOther, {1, 1});
        break;
      case RegexEscape::Kind::kAnchor:
        sequence.Add(AnchorText(escape.character), ItemKind::kAnchor, {});
        break;
      case RegexEscape::Kind::kGroup:
        if (escape.group >= GroupCount()) {
          return reader_.Error("invalid group reference " + std::to_string(escape.group),
                               begin + 1);
        }
        return AddBackReference(escape.group, begin, sequence);
    }
    return Status::Ok();
  }

  static std::string AnchorText(char32_t letter) {
    if (letter == U'Z') return "\\z";                // PCRE2's \Z allows a newline behind
    if (letter == U'B') return "(?:(?!\\A\\z)\\B)";  // never in an empty text
    return letter == U'A' ? "\\A" : "\\b";
  }

  Status AddBackReference(int64_t group, size_t begin, RegexSequence& sequence) {
    const std::optional<RegexWidth>& width = groups_[static_cast<size_t>(group)].width;
    if (!width) return reader_.Error("cannot refer to an open group", begin);
    VLASERVE_RETURN_IF_ERROR(CheckLookbehindGroup(group));
    sequence.Add("\\g{" + std::to_string(group) + "}", ItemKind::kOther, *width);
    return Status::Ok();
  }

  Status CheckLookbehindGroup(int64_t group) const {
    if (!lookbehind_groups_) return Status::Ok();
    if (group >= GroupCount() || !groups_[static_cast<size_t>(group)].width) {
      return Here("cannot refer to an open group");
    }
    if (group >= *lookbehind_groups_) {
      return Here("cannot refer to group defined in the same lookbehind subpattern");
    }
    return Status::Ok();
  }

  Status AddSet(RegexScope scope, RegexSequence& sequence) {
    VLASERVE_ASSIGN_OR_RETURN(CharacterSet set, ReadSet(reader_, scope.ascii));
    has_non_ascii_ = has_non_ascii_ || set.has_non_ascii;
    sequence.Add(std::move(set.text), ItemKind::kOther, {1, 1});
    return Status::Ok();
  }

  // The bounds behind a "{"; nothing if the brace stands for itself.
  std::optional<std::pair<std::u32string, std::u32string>> ReadBraces() {
    const size_t begin = reader_.position();
    if (reader_.NextIs(U'}')) return std::nullopt;
    const auto digits = [&] {
      return reader_.TakeWhile(SIZE_MAX, [](char32_t c) { return c >= U'0' && c <= U'9'; });
    };
    const std::u32string low = digits();
    const std::u32string high = reader_.Match(U',') ? digits() : low;
    if (reader_.Match(U'}')) return std::pair(low, high);
    reader_.Seek(begin);
    return std::nullopt;
  }

  Status AddQuantifier(char32_t c, size_t begin, RegexSequence& sequence) {
    int64_t least = c == U'+' ? 1 : 0;
    int64_t most = c == U'?' ? 1 : kUnbounded;
    if (c == U'{') {
      const auto bounds = ReadBraces();
      if (!bounds) {
        AddLiteral(c, sequence);
        return Status::Ok();
      }
      const auto number = [](std::u32string_view digits) {
        int64_t value = 0;
        for (const char32_t d : digits) {
          value = std::min(value * 10 + static_cast<int64_t>(d - U'0'), kUnbounded);
        }
        return value;
      };
      if (!bounds->first.empty()) least = number(bounds->first);
      if (!bounds->second.empty()) most = number(bounds->second);
      const bool bounded = !bounds->second.empty();
      if (least >= kUnbounded || (bounded && most >= kUnbounded)) {
        return Here("the repetition number is too large");
      }
      if (most < least) return reader_.Error("min repeat greater than max repeat", begin + 1);
      if (least > kMaxPcre2Repeat || (bounded && most > kMaxPcre2Repeat)) {
        return reader_.Error("not supported: more than 65535 repetitions", begin);
      }
    }
    if (sequence.kind == ItemKind::kNone || sequence.kind == ItemKind::kAnchor) {
      return reader_.Error("nothing to repeat", begin);
    }
    if (sequence.kind == ItemKind::kRepeat) return reader_.Error("multiple repeat", begin);
    sequence.item += '{';
    sequence.item += std::to_string(least) + ",";
    if (most != kUnbounded) sequence.item += std::to_string(most);
    sequence.item += '}';
    if (reader_.Match(U'?')) {
      sequence.item += "?";
    } else if (reader_.Match(U'+')) {
      sequence.item += "+";
    }
    sequence.kind = ItemKind::kRepeat;
    sequence.item_width = sequence.item_width.Times(least, most);
    return Status::Ok();
  }

  // Whatever begins with the "(" at `begin`, which was taken.
  Status AddGroup(RegexScope& scope, bool may_set_global_flags, size_t begin,
                  RegexSequence& sequence) {
    if (!reader_.Match(U'?')) return AddCapture(scope, begin, sequence);
    if (reader_.AtEnd()) return Here("unexpected end of pattern");
    const char32_t c = reader_.Take();
    switch (c) {
      case U'P':
        return AddNamed(scope, begin, sequence);
      case U':':
        return AddInner(scope, begin, "(?:", sequence);
      case U'>':
        return AddInner(scope, begin, "(?>", sequence);
      case U'#':
        while (!reader_.AtEnd()) {
          if (reader_.Take() == U')') return Status::Ok();
        }
        return reader_.Error("missing ), unterminated comment", begin);
      case U'=':
        return AddLook(scope, begin, "(?=", false, sequence);
      case U'!':
        return AddLook(scope, begin, "(?!", false, sequence);
      case U'<':
        if (reader_.AtEnd()) return Here("unexpected end of pattern");
        if (reader_.Match(U'=')) return AddLook(scope, begin, "(?<=", true, sequence);
        if (reader_.Match(U'!')) return AddLook(scope, begin, "(?<!", true, sequence);
        reader_.Take();
        return UnknownExtension(begin);
      case U'(':
        return AddConditional(scope, begin, sequence);
      default:
        break;
    }
    if (!IsRegexFlag(c) && c != U'-') return UnknownExtension(begin);
    return AddFlags(c, scope, may_set_global_flags, begin, sequence);
  }

  Status UnknownExtension(size_t begin) const {
    return reader_.Error("unknown extension " + reader_.TextFrom(begin + 1), begin + 1);
  }

  // The rest of a group up to and with its ")".
  Result<RegexPart> ReadGroupRest(RegexScope scope, size_t begin) {
    ++scope.depth;
    VLASERVE_ASSIGN_OR_RETURN(RegexPart part, ReadAlternatives(scope));
    if (!reader_.Match(U')')) {
      return reader_.Error("missing ), unterminated subpattern", begin);
    }
    return part;
  }

  Status AddInner(RegexScope scope, size_t begin, const std::string& open,
                  RegexSequence& sequence) {
    VLASERVE_ASSIGN_OR_RETURN(const RegexPart part, ReadGroupRest(scope, begin));
    sequence.Add(open + part.text + ")", ItemKind::kOther, part.width);
    return Status::Ok();
  }

  Status AddCapture(RegexScope scope, size_t begin, RegexSequence& sequence) {
    const size_t number = groups_.size();
    groups_.emplace_back();
    VLASERVE_ASSIGN_OR_RETURN(const RegexPart part, ReadGroupRest(scope, begin));
    groups_[number].width = part.width;
    sequence.Add("(" + part.text + ")", ItemKind::kOther, part.width);
    return Status::Ok();
  }

  Status AddLook(RegexScope scope, size_t begin, const std::string& open, bool behind,
                 RegexSequence& sequence) {
    const std::optional<int64_t> outer = lookbehind_groups_;
    if (behind && !outer) lookbehind_groups_ = GroupCount();
    VLASERVE_ASSIGN_OR_RETURN(const RegexPart part, ReadGroupRest(scope, begin));
    lookbehind_groups_ = outer;
    if (behind && part.width.low != part.width.high) variable_lookbehind_ = true;
    sequence.Add(open + part.text + ")", ItemKind::kOther, {});
    return Status::Ok();
  }

  Result<std::string> ReadName(char32_t terminator) {
    const size_t begin = reader_.position();
    VLASERVE_ASSIGN_OR_RETURN(const std::u32string name,
                              reader_.TakeUntil(terminator, "group name"));
    if (!IsIdentifier(name)) {
      return reader_.Error("bad character in group name '" + Utf8(name) + "'", begin);
    }
    return Utf8(name);
  }

  // (?P<name>…) and (?P=name).
  Status AddNamed(RegexScope scope, size_t begin, RegexSequence& sequence) {
    const size_t name_begin = reader_.position() + 1;
    if (reader_.Match(U'<')) {
      VLASERVE_ASSIGN_OR_RETURN(const std::string name, ReadName(U'>'));
      const auto [entry, is_new] = names_.emplace(name, GroupCount());
      if (!is_new) {
        return reader_.Error("redefinition of group name '" + name + "' as group " +
                                 std::to_string(GroupCount()) + "; was group " +
                                 std::to_string(entry->second),
                             name_begin);
      }
      return AddCapture(scope, begin, sequence);
    }
    if (reader_.Match(U'=')) {
      VLASERVE_ASSIGN_OR_RETURN(const std::string name, ReadName(U')'));
      const auto group = names_.find(name);
      if (group == names_.end()) {
        return reader_.Error("unknown group name '" + name + "'", name_begin);
      }
      return AddBackReference(group->second, name_begin, sequence);
    }
    if (reader_.AtEnd()) return Here("unexpected end of pattern");
    reader_.Take();
    return UnknownExtension(begin);
  }

  // The group of "(?(group)yes|no)".
  Result<int64_t> ReadCondition() {
    const size_t begin = reader_.position();
    VLASERVE_ASSIGN_OR_RETURN(const std::u32string name, reader_.TakeUntil(U')', "group name"));
    if (IsIdentifier(name)) {
      const auto group = names_.find(Utf8(name));
      if (group == names_.end()) {
        return reader_.Error("unknown group name '" + Utf8(name) + "'", begin);
      }
      return group->second;
    }
    int64_t group = 0;
    for (const char32_t c : name) {
      if (c < U'0' || c > U'9') {
        return reader_.Error("bad character in group name '" + Utf8(name) + "'", begin);
      }
      group = std::min(group * 10 + static_cast<int64_t>(c - U'0'), kUnbounded);
    }
    if (group == 0) return reader_.Error("bad group number", begin);
    conditions_.emplace(group, begin);
    return group;
  }

  Status AddConditional(RegexScope scope, size_t begin, RegexSequence& sequence) {
    VLASERVE_ASSIGN_OR_RETURN(const int64_t group, ReadCondition());
    VLASERVE_RETURN_IF_ERROR(CheckLookbehindGroup(group));
    if (++scope.depth > kMaxDepth) return Here("not supported: so many nested groups");
    VLASERVE_ASSIGN_OR_RETURN(const RegexPart yes, ReadSequence(scope, false));
    RegexPart no;
    if (reader_.Match(U'|')) {
      VLASERVE_ASSIGN_OR_RETURN(no, ReadSequence(scope, false));
      if (reader_.NextIs(U'|')) return Here("conditional backref with more than two branches");
    }
    if (!reader_.Match(U')')) {
      return reader_.Error("missing ), unterminated subpattern", begin);
    }
    sequence.Add("(?(" + std::to_string(group) + ")" + yes.text + "|" + no.text + ")",
                 ItemKind::kOther, yes.width.Or(no.width));
    return Status::Ok();
  }

  Status AddFlags(char32_t first, RegexScope& scope, bool may_set_global_flags, size_t begin,
                  RegexSequence& sequence) {
    VLASERVE_ASSIGN_OR_RETURN(const RegexFlags flags, ReadRegexFlags(reader_, first));
    if (flags.Adds('i')) ignores_case_ = true;
    if (flags.global) {
      if (!may_set_global_flags || sequence.kind != ItemKind::kNone) {
        return reader_.Error("global flags not at the start of the expression", begin);
      }
      return SetGlobalFlags(flags, begin, scope);
    }
    RegexScope inner = scope;
    if (flags.Adds('x')) inner.verbose = true;
    if (flags.Removes('x')) inner.verbose = false;
    if (flags.Adds('a')) inner.ascii = true;
    if (flags.Adds('u')) inner.ascii = false;
    const auto known = [](const std::string& given) {
      std::string text;
      for (const char flag : {'i', 'm', 's'}) {
        if (given.find(flag) != std::string::npos) text += flag;
      }
      return text;
    };
    const std::string removed = known(flags.remove);
    return AddInner(inner, begin,
                    "(?" + known(flags.add) + (removed.empty() ? "" : "-" + removed) + ":",
                    sequence);
  }

  Status SetGlobalFlags(const RegexFlags& flags, size_t begin, RegexScope& scope) {
    if (flags.Adds('t')) return reader_.Error("not supported: the flag t", begin);
    if (flags.Adds('i')) result_.ignore_case = true;
    if (flags.Adds('m')) result_.multi_line = true;
    if (flags.Adds('s')) result_.dot_all = true;
    if (flags.Adds('x')) global_verbose_ = true;
    if (flags.Adds('a')) global_ascii_ = true;
    if (flags.Adds('u')) global_unicode_ = true;
    if (global_ascii_ && global_unicode_) {
      return Status(StatusCode::kInvalidArgument, "ASCII and UNICODE flags are incompatible");
    }
    scope.verbose = global_verbose_;
    scope.ascii = global_ascii_;
    return Status::Ok();
  }

  PatternReader reader_;
  TranslatedRegex result_;
  std::vector<RegexGroup> groups_{{RegexWidth{}}};  // 0 is no group that can be referred to
  std::map<std::string, int64_t> names_;
  std::map<int64_t, size_t> conditions_;      // groups of conditionals, and where
  std::optional<int64_t> lookbehind_groups_;  // groups before the look-behind being read
  bool variable_lookbehind_ = false;
  bool ignores_case_ = false;
  bool has_non_ascii_ = false;
  bool global_verbose_ = false;
  bool global_ascii_ = false;
  bool global_unicode_ = false;
};

}  // namespace

Result<TranslatedRegex> TranslatePythonRegex(std::string_view pattern) {
  VLASERVE_ASSIGN_OR_RETURN(PatternReader reader, PatternReader::Open(pattern));
  return Translator(std::move(reader)).Run();
}

}  // namespace vlaserve
