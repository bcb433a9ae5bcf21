#include "server/config/option.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <regex>

#include "model/io/json.h"

namespace vlaserve {
namespace {

using Json = nlohmann::json;

// Whole numbers without a fraction: "600", not "600.0".
std::string NumberText(double number) { return Json(static_cast<int64_t>(number)).dump(); }

std::string Quoted(std::string_view text) {
  constexpr size_t kMaxBytes = 60;
  std::string shown(text.substr(0, kMaxBytes));
  // The replacing error handler keeps a value that is not UTF-8 printable.
  return Json(shown).dump(-1, ' ', false, Json::error_handler_t::replace) +
         (text.size() > kMaxBytes ? "…" : "");
}

std::string Describe(const Json& value) {
  if (value.is_string()) return "string " + Quoted(value.get_ref<const std::string&>());
  if (value.is_number() || value.is_boolean()) {
    return std::string(value.type_name()) + " " + value.dump();
  }
  return value.type_name();
}

Status Unexpected(const Option& option, const std::string& found) {
  return {StatusCode::kInvalidArgument, std::string(option.key),
          "expected " + Expectation(option) + ", found " + found};
}

bool IsAllowedText(const Option& option, const std::string& text) {
  if (!option.values.empty()) {
    return std::find(option.values.begin(), option.values.end(), text) != option.values.end();
  }
  if (text.find('\0') != std::string::npos) return false;
  if (text.empty()) return option.may_be_empty;
  if (option.pattern.empty()) return true;
  // std::regex recurses once per character; the longest host name has 253.
  constexpr size_t kMaxBytes = 300;
  if (text.size() > kMaxBytes) return false;
  return std::regex_match(text, std::regex(option.pattern.data(), option.pattern.size()));
}

bool HasType(const Option& option, const Json& value) {
  switch (option.type) {
    case OptionType::kBoolean:
      return value.is_boolean();
    case OptionType::kInteger:
      return value.is_number_integer();
    case OptionType::kNumber:
      return value.is_number();
    case OptionType::kString:
      return value.is_string();
    case OptionType::kStringList:
      return value.is_array();
    case OptionType::kIntegerMap:
    case OptionType::kSettingsMap:
      return value.is_object();
  }
  return false;
}

bool IsAllowedNumber(const Option& option, const Json& value) {
  if (!option.integers.empty()) {
    return std::any_of(option.integers.begin(), option.integers.end(),
                       [&](int64_t integer) { return value == integer; });
  }
  const double number = value.get<double>();
  return number >= option.minimum && number <= option.maximum;
}

// "one of 0, 2, 4 or 8", "2 or 4".
template <typename Values, typename Text>
std::string ListText(const Values& values, Text text) {
  std::string list;
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) list += i + 1 == values.size() ? " or " : ", ";
    list += text(values[i]);
  }
  return list;
}

std::string AllowedTexts(const Option& option) {
  if (option.values.empty()) return std::string(option.form);
  return ListText(option.values, [](std::string_view value) { return std::string(value); });
}

std::string AllowedIntegers(const Option& option) {
  if (!option.integers.empty()) {
    return ListText(option.integers, [](int64_t integer) { return std::to_string(integer); });
  }
  return "from " + NumberText(option.minimum) + " to " + NumberText(option.maximum);
}

Status EntryError(const Option& option, const std::string& entry, const std::string& message) {
  return {StatusCode::kInvalidArgument, std::string(option.key), Quoted(entry) + ": " + message};
}

Status CheckList(const Option& option, const Json& list) {
  for (const Json& entry : list) {
    if (entry.is_string() && IsAllowedText(option, entry.get_ref<const std::string&>())) continue;
    return Unexpected(option, "entry " + Describe(entry));
  }
  return Status::Ok();
}

Status CheckIntegerMap(const Option& option, const Json& map) {
  for (const auto& [name, value] : map.items()) {
    if (value.is_number_integer() && IsAllowedNumber(option, value)) continue;
    return EntryError(
        option, name,
        "expected an integer, " + AllowedIntegers(option) + ", found " + Describe(value));
  }
  return Status::Ok();
}

Status CheckSettingsMap(const Option& option, const Json& map) {
  const auto allowed = SettingsOf(option);
  for (const auto& [name, settings] : map.items()) {
    if (!settings.is_object()) {
      return EntryError(option, name, "expected an object, found " + Describe(settings));
    }
    for (const auto& [key, value] : settings.items()) {
      const auto setting = std::find_if(allowed.begin(), allowed.end(), [&](const auto& candidate) {
        return candidate.first == key;
      });
      if (setting == allowed.end()) {
        return EntryError(option, name,
                          "unknown key " + Quoted(key) + "; expected some of " +
                              ListText(allowed, [](const auto& candidate) {
                                return std::string(candidate.first);
                              }));
      }
      if (const Status status = CheckValue(*setting->second, value); !status.ok()) {
        return EntryError(option, name, key + ": " + status.message());
      }
    }
  }
  return Status::Ok();
}

template <typename T>
std::optional<T> WholeTextAs(std::string_view text) {
  T number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

const Option* FindOption(std::string_view key) {
  const auto& options = Options();
  const auto it = std::find_if(options.begin(), options.end(),
                               [&](const Option& option) { return option.key == key; });
  return it == options.end() ? nullptr : &*it;
}

std::string EnvironmentName(std::string_view key) {
  std::string name = "VLASERVE_";
  for (const char c : key) {
    name += c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

std::string JsonPointer(std::string_view key) {
  std::string pointer = "/";
  for (const char c : key) pointer += c == '.' ? '/' : c;
  return pointer;
}

std::string Expectation(const Option& option) {
  switch (option.type) {
    case OptionType::kBoolean:
      return "true or false";
    case OptionType::kInteger:
      return option.integers.empty() ? "an integer " + AllowedIntegers(option)
                                     : AllowedIntegers(option);
    case OptionType::kNumber:
      return "a number from " + NumberText(option.minimum) + " to " + NumberText(option.maximum);
    case OptionType::kString:
      return AllowedTexts(option);
    case OptionType::kStringList:
      return "a list of " + AllowedTexts(option);
    case OptionType::kIntegerMap:
    case OptionType::kSettingsMap:
      return std::string(option.form);
  }
  return "";
}

Status CheckValue(const Option& option, const Json& value) {
  if (!HasType(option, value)) return Unexpected(option, Describe(value));
  bool fits = true;
  switch (option.type) {
    case OptionType::kBoolean:
      break;
    case OptionType::kInteger:
    case OptionType::kNumber:
      fits = IsAllowedNumber(option, value);
      break;
    case OptionType::kString:
      fits = IsAllowedText(option, value.get_ref<const std::string&>());
      break;
    case OptionType::kStringList:
      return CheckList(option, value);
    case OptionType::kIntegerMap:
      return CheckIntegerMap(option, value);
    case OptionType::kSettingsMap:
      return CheckSettingsMap(option, value);
  }
  return fits ? Status::Ok() : Unexpected(option, Describe(value));
}

std::vector<std::pair<std::string_view, const Option*>> SettingsOf(const Option& map) {
  std::vector<std::pair<std::string_view, const Option*>> settings;
  for (const Option& option : Options()) {
    // A path is one file for all.
    const bool may_be_set = !option.is_path && std::any_of(map.settings.begin(), map.settings.end(),
                                                           [&](std::string_view prefix) {
                                                             return option.key.starts_with(prefix);
                                                           });
    if (may_be_set) settings.emplace_back(option.key.substr(option.key.find('.') + 1), &option);
  }
  return settings;
}

Result<Json> ParseValue(const Option& option, std::string_view text) {
  std::optional<Json> value;
  switch (option.type) {
    case OptionType::kBoolean:
      if (text == "true") value = true;
      if (text == "false") value = false;
      break;
    case OptionType::kInteger:
      if (const auto number = WholeTextAs<int64_t>(text)) value = *number;
      break;
    case OptionType::kNumber:
      if (const auto number = WholeTextAs<double>(text); number && std::isfinite(*number)) {
        value = *number;
      }
      break;
    case OptionType::kString:
      value = std::string(text);
      break;
    case OptionType::kStringList:
    case OptionType::kIntegerMap:
    case OptionType::kSettingsMap:
      if (auto json = ParseJson(text, "value"); json.ok()) value = *std::move(json);
      break;
  }
  if (!value) return Unexpected(option, Quoted(text));
  VLASERVE_RETURN_IF_ERROR(CheckValue(option, *value));
  return *std::move(value);
}

}  // namespace vlaserve
