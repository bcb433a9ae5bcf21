#include "quant/select/python_regex_groups.h"

#include <algorithm>
#include <string_view>

namespace vlaserve {
namespace {

bool IsIdentifier(std::u32string_view name) {
  const auto starts = [](char32_t c) { return c == U'_' || IsAsciiLetter(c); };
  return starts(name[0]) && std::all_of(name.begin(), name.end(), [&](char32_t c) {
           return starts(c) || (c >= U'0' && c <= U'9');
         });
}

Result<std::string> ReadName(PatternReader& reader, char32_t terminator) {
  const size_t begin = reader.position();
  VLASERVE_ASSIGN_OR_RETURN(const std::u32string name, reader.TakeUntil(terminator, "group name"));
  if (!IsIdentifier(name)) {
    return reader.Error("bad character in group name '" + Utf8(name) + "'", begin);
  }
  return Utf8(name);
}

}  // namespace

size_t RegexGroups::Open() {
  widths_.emplace_back();
  return widths_.size() - 1;
}

Status RegexGroups::ReadNewName(PatternReader& reader) {
  const size_t begin = reader.position();
  VLASERVE_ASSIGN_OR_RETURN(const std::string name, ReadName(reader, U'>'));
  const auto [entry, is_new] = names_.emplace(name, count());
  if (is_new) return Status::Ok();
  return reader.Error("redefinition of group name '" + name + "' as group " +
                          std::to_string(count()) + "; was group " + std::to_string(entry->second),
                      begin);
}

Result<int64_t> RegexGroups::ReadReference(PatternReader& reader) const {
  const size_t begin = reader.position();
  VLASERVE_ASSIGN_OR_RETURN(const std::string name, ReadName(reader, U')'));
  const auto group = names_.find(name);
  if (group == names_.end()) return reader.Error("unknown group name '" + name + "'", begin);
  return group->second;
}

Result<int64_t> RegexGroups::ReadCondition(PatternReader& reader) {
  const size_t begin = reader.position();
  VLASERVE_ASSIGN_OR_RETURN(const std::u32string name, reader.TakeUntil(U')', "group name"));
  if (IsIdentifier(name)) {
    const auto group = names_.find(Utf8(name));
    if (group == names_.end()) {
      return reader.Error("unknown group name '" + Utf8(name) + "'", begin);
    }
    return group->second;
  }
  int64_t group = 0;
  for (const char32_t c : name) {
    if (c < U'0' || c > U'9') {
      return reader.Error("bad character in group name '" + Utf8(name) + "'", begin);
    }
    group = std::min(group * 10 + static_cast<int64_t>(c - U'0'), kUnbounded);
  }
  if (group == 0) return reader.Error("bad group number", begin);
  conditions_.emplace(group, begin);
  return group;
}

Status RegexGroups::CheckConditions(const PatternReader& reader) const {
  for (const auto& [group, position] : conditions_) {
    if (group >= count()) {
      return reader.Error("invalid group reference " + std::to_string(group), position);
    }
  }
  return Status::Ok();
}

Result<RegexWidth> RegexGroups::ReferredWidth(int64_t group, const PatternReader& reader,
                                              size_t begin) const {
  const std::optional<RegexWidth>& width = widths_[static_cast<size_t>(group)];
  if (!width) return reader.Error("cannot refer to an open group", begin);
  VLASERVE_RETURN_IF_ERROR(CheckLookbehind(group, reader));
  return *width;
}

Status RegexGroups::CheckLookbehind(int64_t group, const PatternReader& reader) const {
  if (!lookbehind_) return Status::Ok();
  if (group >= count() || !widths_[static_cast<size_t>(group)]) {
    return reader.Error("cannot refer to an open group", reader.position());
  }
  if (group >= *lookbehind_) {
    return reader.Error("cannot refer to group defined in the same lookbehind subpattern",
                        reader.position());
  }
  return Status::Ok();
}

std::optional<int64_t> RegexGroups::EnterLookbehind() {
  const std::optional<int64_t> outer = lookbehind_;
  if (!outer) lookbehind_ = count();
  return outer;
}

}  // namespace vlaserve
