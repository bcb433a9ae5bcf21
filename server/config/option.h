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
#include <vector>

#include <nlohmann/json.hpp>

#include "model/io/status.h"
#include "server/config/server_config.h"

namespace vlaserve {

enum class OptionType { kBoolean, kInteger, kNumber, kString };

struct Option {
  std::string_view key;
  OptionType type = OptionType::kString;
  // Null: unset unless somebody sets it; `when_unset` then says what happens.
  nlohmann::json default_value = nullptr;
  std::string_view when_unset = "";
  // Range of kInteger and kNumber, both ends included.
  double minimum = 0;
  double maximum = 0;
  // What a kString may be: one of `values` if there are any; else any non-empty text that matches
  // the regular expression `pattern` (ECMAScript, anchored), if there is one. People read `form`.
  std::vector<std::string_view> values = {};
  std::string_view pattern = "";
  std::string_view form = "";
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

// Reads a value from text (environment, --set). Numbers and true/false are spelled as in JSON,
// strings stand without quotes. Errors as CheckValue.
Result<nlohmann::json> ParseValue(const Option& option, std::string_view text);

}  // namespace vlaserve
