#include "server/config/option.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <regex>

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
  if (text.empty() || text.find('\0') != std::string::npos) return false;
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
  }
  return false;
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
  const auto range = [&] {
    return " from " + NumberText(option.minimum) + " to " + NumberText(option.maximum);
  };
  switch (option.type) {
    case OptionType::kBoolean:
      return "true or false";
    case OptionType::kInteger:
      return "an integer" + range();
    case OptionType::kNumber:
      return "a number" + range();
    case OptionType::kString:
      break;
  }
  if (option.values.empty()) return std::string(option.form);
  std::string list;
  for (const std::string_view value : option.values) {
    if (!list.empty()) list += value == option.values.back() ? " or " : ", ";
    list += value;
  }
  return list;
}

Status CheckValue(const Option& option, const Json& value) {
  bool fits = HasType(option, value);
  if (fits && value.is_number()) {
    const double number = value.get<double>();
    fits = number >= option.minimum && number <= option.maximum;
  }
  if (fits && value.is_string()) fits = IsAllowedText(option, value.get_ref<const std::string&>());
  return fits ? Status::Ok() : Unexpected(option, Describe(value));
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
  }
  if (!value) return Unexpected(option, Quoted(text));
  VLASERVE_RETURN_IF_ERROR(CheckValue(option, *value));
  return *std::move(value);
}

}  // namespace vlaserve
