#include "server/config/render.h"

#include <algorithm>
#include <sstream>

namespace vlaserve {
namespace {

// Keys of the schema stay in the order in which people read them.
using Json = nlohmann::ordered_json;

std::string ValueText(const ResolvedOption& entry) {
  if (entry.value.is_null()) return std::string("(").append(entry.option->when_unset).append(")");
  if (entry.value == "") return "\"\"";
  if (entry.value.is_string()) return entry.value.get<std::string>();
  return entry.value.dump();
}

std::string SourceText(const ResolvedOption& entry) {
  std::string text(ValueSourceName(entry.source));
  const bool origin_says_more =
      entry.source != ValueSource::kDefault && entry.source != ValueSource::kCommandLine;
  if (origin_says_more) text += " " + entry.origin;
  return text;
}

std::string DefaultText(const Option& option) {
  if (option.default_value.is_null()) return std::string(option.when_unset);
  if (option.default_value == "") return "\"\"";
  if (option.default_value.is_string()) return option.default_value.get<std::string>();
  return option.default_value.dump();
}

std::string Padded(std::string text, size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}

void AddStringRules(const Option& option, Json& schema) {
  schema["type"] = "string";
  if (!option.values.empty()) {
    schema["enum"] = option.values;
  } else if (!option.pattern.empty()) {
    schema["pattern"] = option.pattern;
  } else if (!option.may_be_empty) {
    schema["minLength"] = 1;
  }
}

void AddNumberRules(const Option& option, std::string_view type, Json& schema) {
  schema["type"] = type;
  if (!option.integers.empty()) {
    schema["enum"] = option.integers;
  } else {
    schema["minimum"] = static_cast<int64_t>(option.minimum);
    schema["maximum"] = static_cast<int64_t>(option.maximum);
  }
}

void AddRules(const Option& option, Json& schema) {
  switch (option.type) {
    case OptionType::kBoolean:
      schema["type"] = "boolean";
      break;
    case OptionType::kInteger:
      AddNumberRules(option, "integer", schema);
      break;
    case OptionType::kNumber:
      AddNumberRules(option, "number", schema);
      break;
    case OptionType::kString:
      AddStringRules(option, schema);
      break;
    case OptionType::kStringList:
      schema["type"] = "array";
      AddStringRules(option, schema["items"]);
      break;
    case OptionType::kIntegerMap:
      schema["type"] = "object";
      AddNumberRules(option, "integer", schema["additionalProperties"]);
      break;
    case OptionType::kSettingsMap: {
      Json entry = {{"type", "object"}, {"additionalProperties", false}};
      for (const auto& [key, setting] : SettingsOf(option)) {
        AddRules(*setting, entry["properties"][std::string(key)]);
      }
      schema["type"] = "object";
      schema["additionalProperties"] = std::move(entry);
      break;
    }
  }
}

Json OptionSchema(const Option& option) {
  Json schema = {{"description", option.help}};
  AddRules(option, schema);
  if (!option.default_value.is_null()) schema["default"] = Json(option.default_value);
  return schema;
}

// The object node of a dotted key's folder ("runtime.savings"), made where it is missing.
Json& SectionSchema(Json& root, std::string_view key) {
  Json* node = &root;
  for (size_t begin = 0; begin < key.size();) {
    const size_t dot = key.find('.', begin);
    if (dot == std::string_view::npos) break;
    Json& child = (*node)["properties"][std::string(key.substr(begin, dot - begin))];
    if (child.is_null()) child = {{"type", "object"}, {"additionalProperties", false}};
    node = &child;
    begin = dot + 1;
  }
  return *node;
}

}  // namespace

std::string ShowText(const ResolvedConfig& config) {
  size_t key_width = 0;
  size_t value_width = 0;
  for (const ResolvedOption& entry : config.options) {
    key_width = std::max(key_width, entry.option->key.size());
    value_width = std::max(value_width, ValueText(entry).size());
  }
  std::ostringstream out;
  for (const ResolvedOption& entry : config.options) {
    out << Padded(std::string(entry.option->key), key_width + 2)
        << Padded(ValueText(entry), value_width + 2) << SourceText(entry) << "\n";
  }
  return out.str();
}

std::string ShowJson(const ResolvedConfig& config) {
  Json shown = Json::object();
  for (const ResolvedOption& entry : config.options) {
    Json& item = shown[std::string(entry.option->key)];
    item = {{"value", Json(entry.value)}, {"source", ValueSourceName(entry.source)}};
    if (!entry.origin.empty()) item["origin"] = entry.origin;
  }
  // File names need not be UTF-8.
  return shown.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string ConfigSchema() {
  Json root = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
               {"title", "Configuration of vlaserve serve"},
               {"type", "object"},
               {"additionalProperties", false},
               {"properties", {{"$schema", {{"type", "string"}}}}}};
  for (const OptionGroup& group : OptionGroups()) {
    root["properties"][std::string(group.name)] = {
        {"description", group.help}, {"type", "object"}, {"additionalProperties", false}};
  }
  for (const Option& option : Options()) {
    const std::string name(option.key.substr(option.key.rfind('.') + 1));
    SectionSchema(root, option.key)["properties"][name] = OptionSchema(option);
  }
  return root.dump(2) + "\n";
}

std::string MarkdownTable() {
  std::ostringstream out;
  out << "| key | value | default | meaning |\n|---|---|---|---|\n";
  for (const Option& option : Options()) {
    out << "| `" << option.key << "` | " << Expectation(option) << " | " << DefaultText(option)
        << " | " << option.help << " |\n";
  }
  return out.str();
}

std::string OptionsHelp() {
  std::ostringstream out;
  out << "Options (in a config file, as --set KEY=VALUE, or as environment variable: "
      << EnvironmentName("server.address") << " is server.address):\n";
  for (const OptionGroup& group : OptionGroups()) {
    out << "\n" << group.help << "\n";
    for (const Option& option : Options()) {
      if (!option.key.starts_with(std::string(group.name) + ".")) continue;
      out << "  " << option.key << " = " << Expectation(option) << " [" << DefaultText(option)
          << "]\n      " << option.help << "\n";
    }
  }
  return out.str();
}

}  // namespace vlaserve
