#include "model/settings/json_object.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace vlaserve {
namespace {

using nlohmann::json;

std::string RangeText(IntRange range) {
  if (range.max == std::numeric_limits<int64_t>::max()) {
    return "an integer of at least " + std::to_string(range.min);
  }
  return "an integer from " + std::to_string(range.min) + " to " + std::to_string(range.max);
}

std::string Escaped(std::string_view key) {
  std::string escaped;  // RFC 6901
  for (const char c : key) {
    if (c == '~') {
      escaped += "~0";
    } else if (c == '/') {
      escaped += "~1";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

}  // namespace

std::string JsonExcerpt(const json& value) {
  constexpr size_t kMaxLength = 80;
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array of " + std::to_string(value.size());
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > kMaxLength) text = text.substr(0, kMaxLength) + "...";
  return text;
}

JsonObject::JsonObject(const json& value, std::string origin, std::string pointer, StatusCode code)
    : value_(&value), origin_(std::move(origin)), pointer_(std::move(pointer)), code_(code) {}

Result<JsonObject> JsonObject::Root(const json& value, std::string_view origin, StatusCode code) {
  if (!value.is_object()) {
    return Status(code,
                  std::string(origin) + ": expected a JSON object, found " + JsonExcerpt(value));
  }
  return JsonObject(value, std::string(origin), "", code);
}

std::string JsonObject::PointerTo(std::string_view key) const {
  if (key.empty()) return pointer_;
  return pointer_ + "/" + Escaped(key);
}

Status JsonObject::Error(std::string_view key, std::string_view message) const {
  const std::string pointer = PointerTo(key);
  return {code_, origin_ + ": " + pointer + (pointer.empty() ? "" : ": ") + std::string(message)};
}

Status JsonObject::Missing(std::string_view key, std::string_view expected) const {
  const bool is_null = value_->contains(key);
  return Error(
      key, "expected " + std::string(expected) + ", found " + (is_null ? "null" : "no such key"));
}

bool JsonObject::Has(std::string_view key) const {
  const auto member = value_->find(key);
  return member != value_->end() && !member->is_null();
}

const json* JsonObject::Find(std::string_view key) {
  known_.emplace_back(key);
  const auto member = value_->find(key);
  return member == value_->end() || member->is_null() ? nullptr : &*member;
}

Result<std::optional<int64_t>> JsonObject::OptionalInt(std::string_view key, IntRange range) {
  const json* value = Find(key);
  if (value == nullptr) return std::optional<int64_t>();
  const bool too_large = value->is_number_unsigned() &&
                         value->get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()};
  if (value->is_number_integer() && !too_large) {
    const auto number = value->get<int64_t>();
    if (number >= range.min && number <= range.max) return std::optional<int64_t>(number);
  }
  return Error(key, "expected " + RangeText(range) + ", found " + JsonExcerpt(*value));
}

Result<int64_t> JsonObject::Int(std::string_view key, IntRange range) {
  VLASERVE_ASSIGN_OR_RETURN(const std::optional<int64_t> value, OptionalInt(key, range));
  if (!value) return Missing(key, RangeText(range));
  return *value;
}

Result<std::optional<double>> JsonObject::OptionalPositiveNumber(std::string_view key) {
  const json* value = Find(key);
  if (value == nullptr) return std::optional<double>();
  if (value->is_number()) {
    const auto number = value->get<double>();
    if (std::isfinite(number) && number > 0) return std::optional<double>(number);
  }
  return Error(key, "expected a number greater than 0, found " + JsonExcerpt(*value));
}

Result<double> JsonObject::PositiveNumber(std::string_view key) {
  VLASERVE_ASSIGN_OR_RETURN(const std::optional<double> value, OptionalPositiveNumber(key));
  if (!value) return Missing(key, "a number greater than 0");
  return *value;
}

Result<std::optional<std::string>> JsonObject::OptionalString(std::string_view key) {
  const json* value = Find(key);
  if (value == nullptr) return std::optional<std::string>();
  if (!value->is_string()) {
    return Error(key, "expected a string, found " + JsonExcerpt(*value));
  }
  return std::optional<std::string>(value->get<std::string>());
}

Result<std::string> JsonObject::String(std::string_view key) {
  VLASERVE_ASSIGN_OR_RETURN(const std::optional<std::string> value, OptionalString(key));
  if (!value) return Missing(key, "a string");
  if (value->empty()) return Error(key, "expected a string that is not empty");
  return *value;
}

Result<std::optional<bool>> JsonObject::OptionalBool(std::string_view key) {
  const json* value = Find(key);
  if (value == nullptr) return std::optional<bool>();
  if (!value->is_boolean()) {
    return Error(key, "expected true or false, found " + JsonExcerpt(*value));
  }
  return std::optional<bool>(value->get<bool>());
}

Result<JsonObject> JsonObject::Child(const json& value, std::string pointer) const {
  if (!value.is_object()) {
    return Status(code_,
                  origin_ + ": " + pointer + ": expected an object, found " + JsonExcerpt(value));
  }
  return JsonObject(value, origin_, std::move(pointer), code_);
}

Result<std::optional<JsonObject>> JsonObject::OptionalObject(std::string_view key) {
  const json* value = Find(key);
  if (value == nullptr) return std::optional<JsonObject>();
  VLASERVE_ASSIGN_OR_RETURN(JsonObject child, Child(*value, PointerTo(key)));
  return std::optional<JsonObject>(std::move(child));
}

Result<JsonObject> JsonObject::Object(std::string_view key) {
  VLASERVE_ASSIGN_OR_RETURN(std::optional<JsonObject> child, OptionalObject(key));
  if (!child) return Missing(key, "an object");
  return *std::move(child);
}

Result<const json*> JsonObject::OptionalArray(std::string_view key) {
  const json* value = Find(key);
  if (value != nullptr && !value->is_array()) {
    return Error(key, "expected an array, found " + JsonExcerpt(*value));
  }
  return value;
}

Result<std::vector<JsonObject>> JsonObject::ObjectArray(std::string_view key) {
  VLASERVE_ASSIGN_OR_RETURN(const json* array, OptionalArray(key));
  if (array == nullptr) return Missing(key, "an array of objects");
  std::vector<JsonObject> children;
  for (size_t i = 0; i < array->size(); ++i) {
    VLASERVE_ASSIGN_OR_RETURN(JsonObject child,
                              Child((*array)[i], PointerTo(key) + "/" + std::to_string(i)));
    children.push_back(std::move(child));
  }
  return children;
}

Result<std::vector<std::pair<std::string, JsonObject>>> JsonObject::ObjectMembers() {
  std::vector<std::pair<std::string, JsonObject>> members;
  for (const auto& [key, value] : value_->items()) {
    known_.push_back(key);
    VLASERVE_ASSIGN_OR_RETURN(JsonObject child, Child(value, PointerTo(key)));
    members.emplace_back(key, std::move(child));
  }
  return members;
}

Status JsonObject::RejectUnknownKeys() const {
  for (const auto& [key, value] : value_->items()) {
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    std::string expected;
    for (const std::string& known : known_) {
      expected += (expected.empty() ? "" : ", ") + known;
    }
    return Error(key, "unknown key, expected one of: " + expected);
  }
  return Status::Ok();
}

}  // namespace vlaserve
