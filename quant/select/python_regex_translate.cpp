#include "quant/select/python_regex_translate.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "quant/select/python_regex_atoms.h"
#include "quant/select/python_regex_flags.h"
#include "quant/select/python_regex_groups.h"
#include "quant/select/python_regex_parts.h"
#include "quant/select/python_regex_quantifier.h"
#include "quant/select/python_regex_reader.h"

namespace vlaserve {
namespace {

constexpr int kMaxDepth = 200;  // PCRE2's own limit is 250

class Translator {
 public:
  explicit Translator(PatternReader reader) : reader_(std::move(reader)) {}

  Result<TranslatedRegex> Run() {
    VLASERVE_ASSIGN_OR_RETURN(RegexPart whole, ReadAlternatives({}, /*top=*/true));
    if (!reader_.AtEnd()) return reader_.Error("unbalanced parenthesis", reader_.position());
    VLASERVE_RETURN_IF_ERROR(groups_.CheckConditions(reader_));
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
          status = AddRepeat(c, begin, sequence);
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
        if (escape.group >= groups_.count()) {
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
    VLASERVE_ASSIGN_OR_RETURN(const RegexWidth width, groups_.ReferredWidth(group, reader_, begin));
    sequence.Add("\\g{" + std::to_string(group) + "}", ItemKind::kOther, width);
    return Status::Ok();
  }

  Status AddSet(RegexScope scope, RegexSequence& sequence) {
    VLASERVE_ASSIGN_OR_RETURN(CharacterSet set, ReadSet(reader_, scope.ascii));
    has_non_ascii_ = has_non_ascii_ || set.has_non_ascii;
    sequence.Add(std::move(set.text), ItemKind::kOther, {1, 1});
    return Status::Ok();
  }

  Status AddRepeat(char32_t c, size_t begin, RegexSequence& sequence) {
    VLASERVE_ASSIGN_OR_RETURN(const bool repeats, AddQuantifier(reader_, c, begin, sequence));
    if (!repeats) AddLiteral(c, sequence);
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
    const size_t number = groups_.Open();
    VLASERVE_ASSIGN_OR_RETURN(const RegexPart part, ReadGroupRest(scope, begin));
    groups_.Close(number, part.width);
    sequence.Add("(" + part.text + ")", ItemKind::kOther, part.width);
    return Status::Ok();
  }

  Status AddLook(RegexScope scope, size_t begin, const std::string& open, bool behind,
                 RegexSequence& sequence) {
    const std::optional<int64_t> outer = behind ? groups_.EnterLookbehind() : std::nullopt;
    VLASERVE_ASSIGN_OR_RETURN(const RegexPart part, ReadGroupRest(scope, begin));
    if (behind) {
      groups_.LeaveLookbehind(outer);
      if (part.width.low != part.width.high) variable_lookbehind_ = true;
    }
    sequence.Add(open + part.text + ")", ItemKind::kOther, {});
    return Status::Ok();
  }

  // (?P<name>…) and (?P=name).
  Status AddNamed(RegexScope scope, size_t begin, RegexSequence& sequence) {
    const size_t name_begin = reader_.position() + 1;
    if (reader_.Match(U'<')) {
      VLASERVE_RETURN_IF_ERROR(groups_.ReadNewName(reader_));
      return AddCapture(scope, begin, sequence);
    }
    if (reader_.Match(U'=')) {
      VLASERVE_ASSIGN_OR_RETURN(const int64_t group, groups_.ReadReference(reader_));
      return AddBackReference(group, name_begin, sequence);
    }
    if (reader_.AtEnd()) return Here("unexpected end of pattern");
    reader_.Take();
    return UnknownExtension(begin);
  }

  Status AddConditional(RegexScope scope, size_t begin, RegexSequence& sequence) {
    VLASERVE_ASSIGN_OR_RETURN(const int64_t group, groups_.ReadCondition(reader_));
    VLASERVE_RETURN_IF_ERROR(groups_.CheckLookbehind(group, reader_));
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
  RegexGroups groups_;
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
