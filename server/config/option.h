// The one table of options. The parser of config files, the environment, --set, the JSON schema,
// the help of `vlaserve serve` and the README's table all come from it.
//
// An option's key "server.address" is the JSON pointer /server/address in a config file, the
// variable VLASERVE_SERVER_ADDRESS in the environment, and --set server.address=VALUE on the
// command line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "model/io/status.h"
#include "server/config/server_config.h"

namespace vlaserve {

enum class OptionType {
  kBoolean,
  kInteger,
  kNumber,
  kString,
  kStringList,   // ["a", "b"]
  kIntegerMap,   // {"any name": 4}
  kSettingsMap,  // {"any name": {"weight.bits": 8}}: names to values of other options
};

struct Option {
  std::string_view key;
  OptionType type = OptionType::kString;
  // Null: unset unless somebody sets it; `when_unset` then says what happens.
  nlohmann::json default_value = nullptr;
  std::string_view when_unset = "";
  // What a kInteger or a value of a kIntegerMap may be: one of `integers` if there are any; else,
  // and for kNumber, this range, both ends included.
  double minimum = 0;
  double maximum = 0;
  std::vector<int64_t> integers = {};
  // What a kString or an entry of a kStringList may be: one of `values` if there are any; else any
  // text that matches the regular expression `pattern` (ECMAScript, anchored), if there is one. An
  // empty text only if `may_be_empty`. People read `form`.
  std::vector<std::string_view> values = {};
  std::string_view pattern = "";
  std::string_view form = "";
  bool may_be_empty = false;
  // kSettingsMap: the options whose keys begin with one of these may be set; their keys stand there
  // without the option group's name ("weight.bits").
  std::vector<std::string_view> settings = {};
  // A path; one that stands in a config file is relative to that file's folder.
  bool is_path = false;
  std::string_view help = "";
  // Puts a checked value into the typed config.
  void (*apply)(const nlohmann::json& value, ServerConfig& config) = nullptr;
};

// A group of options: the first part of their keys.
struct OptionGroup {
  std::string_view name;
  std::string_view help;
};

// In the order in which they are listed everywhere; options of a group stand together.
const std::vector<Option>& Options();
const std::vector<OptionGroup>& OptionGroups();

// nullptr if there is none such.
const Option* FindOption(std::string_view key);

// "server.address" → "VLASERVE_SERVER_ADDRESS", "/server/address".
std::string EnvironmentName(std::string_view key);
std::string JsonPointer(std::string_view key);

// What a value must be, for messages and tables: "an integer from 1 to 4096".
std::string Expectation(const Option& option);

// Checks a value from a config file: type, range, choice, form. kInvalidArgument with
// Status::field() = key and the message "expected …, found …".
Status CheckValue(const Option& option, const nlohmann::json& value);

// Reads a value from text (environment, --set). Numbers, true/false, lists and maps are spelled as
// in JSON, strings stand without quotes. Errors as CheckValue.
Result<nlohmann::json> ParseValue(const Option& option, std::string_view text);

// What may stand in a kSettingsMap, in the table's order: the key as it is written there.
std::vector<std::pair<std::string_view, const Option*>> SettingsOf(const Option& map);

}  // namespace vlaserve
