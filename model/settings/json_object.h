// Typed, checked access to the members of one JSON object.
//
// Every getter names the file, the JSON pointer, what was expected and what was found; the keys
// asked for are remembered, so that RejectUnknownKeys can report the others. A member that is null
// counts as absent for Optional… getters and as a wrong type for the rest.
//
// Thread-safety: none. The JSON value must outlive the reader.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "model/io/status.h"

namespace vlaserve {

// Bounds of an integer, both inclusive.
struct IntRange {
  int64_t min = std::numeric_limits<int64_t>::min();
  int64_t max = std::numeric_limits<int64_t>::max();
};

class JsonObject {
 public:
  // `value` must be an object, else a failure. `code` is the code of all failures: kInvalidArgument
  // for what a user writes, kUnreadable for what comes with a checkpoint or an archive.
  static Result<JsonObject> Root(const nlohmann::json& value, std::string_view origin,
                                 StatusCode code);

  bool Has(std::string_view key) const;  // present and not null

  Result<int64_t> Int(std::string_view key, IntRange range);
  Result<std::optional<int64_t>> OptionalInt(std::string_view key, IntRange range);
  // Finite and greater than zero.
  Result<double> PositiveNumber(std::string_view key);
  Result<std::optional<double>> OptionalPositiveNumber(std::string_view key);
  // Not empty.
  Result<std::string> String(std::string_view key);
  Result<std::optional<std::string>> OptionalString(std::string_view key);
  Result<std::optional<bool>> OptionalBool(std::string_view key);
  Result<JsonObject> Object(std::string_view key);
  Result<std::optional<JsonObject>> OptionalObject(std::string_view key);
  // Null if absent.
  Result<const nlohmann::json*> OptionalArray(std::string_view key);
  // Elements that are all objects; absent: an error.
  Result<std::vector<JsonObject>> ObjectArray(std::string_view key);
  // Members of this object as objects, in file order of the parser (sorted by key).
  Result<std::vector<std::pair<std::string, JsonObject>>> ObjectMembers();

  // A failure if the object has a member that no getter was asked for.
  Status RejectUnknownKeys() const;

  // A failure about member `key`: "<origin>: <pointer>: <message>". Status::field() stays empty:
  // the pointer leads into a file, not into what the caller of the process gave.
  Status Error(std::string_view key, std::string_view message) const;
  // JSON pointer of a member ("/cameras/0/slot"), or of this object if `key` is empty.
  std::string PointerTo(std::string_view key) const;
  const nlohmann::json& value() const { return *value_; }

 private:
  JsonObject(const nlohmann::json& value, std::string origin, std::string pointer, StatusCode code);
  // Null if absent or null. Remembers the key.
  const nlohmann::json* Find(std::string_view key);
  Status Missing(std::string_view key, std::string_view expected) const;
  Result<JsonObject> Child(const nlohmann::json& value, std::string pointer) const;

  const nlohmann::json* value_;
  std::string origin_;
  std::string pointer_;
  StatusCode code_;
  std::vector<std::string> known_;
};

// A JSON value for an error message: its text, cut to a bounded length.
std::string JsonExcerpt(const nlohmann::json& value);

}  // namespace vlaserve
