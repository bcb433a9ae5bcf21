#include "server/config/load.h"

#include <algorithm>
#include <optional>

#include <unistd.h>

#include "model/io/json.h"

namespace vlaserve {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxConfigBytes = size_t{1} << 20;

Status ConfigError(std::string_view where, std::string_view what) {
  return {StatusCode::kInvalidArgument, std::string(where) + ": " + std::string(what)};
}

// The keys that may stand in the object of `prefix` ("" or "server."), for messages.
std::string KeysBelow(std::string_view prefix) {
  std::vector<std::string> keys;
  for (const Option& option : Options()) {
    if (!option.key.starts_with(prefix)) continue;
    const std::string_view rest = option.key.substr(prefix.size());
    const std::string key(rest.substr(0, rest.find('.')));
    if (keys.empty() || keys.back() != key) keys.push_back(key);
  }
  std::string list;
  for (const std::string& key : keys) list += (list.empty() ? "" : ", ") + key;
  return list;
}

bool IsSection(std::string_view key) {
  const std::string prefix = std::string(key) + ".";
  return std::any_of(Options().begin(), Options().end(),
                     [&](const Option& option) { return option.key.starts_with(prefix); });
}

class Resolver {
 public:
  Resolver() {
    for (const Option& option : Options()) {
      resolved_.options.push_back({&option, option.default_value, ValueSource::kDefault, ""});
    }
  }

  Status ReadFile(FileSystem& files, const std::string& path) {
    VLASERVE_ASSIGN_OR_RETURN(const std::string text, files.Read(path, kMaxConfigBytes));
    // nlohmann::json skips a byte order mark, which RFC 8259 lets it do; we say what is there.
    if (text.starts_with("\xEF\xBB\xBF")) {
      return ConfigError(path, "starts with a byte order mark, expected plain UTF-8 JSON");
    }
    VLASERVE_ASSIGN_OR_RETURN(const Json root, ParseJson(text, path));
    if (!root.is_object()) {
      return ConfigError(path, "expected a JSON object, found " + std::string(root.type_name()));
    }
    return ReadObject(root, "", path);
  }

  Status ReadEnvironment(const Environment& environment) {
    for (ResolvedOption& entry : resolved_.options) {
      const std::string name = EnvironmentName(entry.option->key);
      const auto it = environment.find(name);
      // Compose files and scripts pass on variables that are not set as empty ones.
      if (it == environment.end() || it->second.empty()) continue;
      VLASERVE_RETURN_IF_ERROR(SetFromText(entry, it->second, ValueSource::kEnvironment,
                                           "environment variable " + name));
      entry.origin = name;
    }
    WarnOfStrayVariables(environment);
    return Status::Ok();
  }

  Status ReadAssignment(const std::string& assignment) {
    const size_t equals = assignment.find('=');
    if (equals == std::string::npos || equals == 0) {
      return ConfigError("--set " + assignment, "expected key=value");
    }
    const std::string key = assignment.substr(0, equals);
    ResolvedOption* entry = Find(key);
    if (entry == nullptr) {
      return ConfigError("--set " + key, "no such option; `vlaserve config table` lists them all");
    }
    const std::string text = assignment.substr(equals + 1);
    return SetFromText(*entry, text, ValueSource::kCommandLine, "--set");
  }

  ResolvedConfig Finish() {
    for (const ResolvedOption& entry : resolved_.options) {
      if (!entry.value.is_null()) entry.option->apply(entry.value, resolved_.config);
    }
    return std::move(resolved_);
  }

 private:
  ResolvedOption* Find(std::string_view key) {
    const auto it =
        std::find_if(resolved_.options.begin(), resolved_.options.end(),
                     [&](const ResolvedOption& entry) { return entry.option->key == key; });
    return it == resolved_.options.end() ? nullptr : &*it;
  }

  Status ReadObject(const Json& object, const std::string& prefix, const std::string& path) {
    for (const auto& [name, value] : object.items()) {
      const std::string key = prefix + name;
      const std::string where = path + ": " + JsonPointer(key);
      if (prefix.empty() && name == "$schema") {
        if (!value.is_string()) {
          return ConfigError(where, "expected a string, found " + std::string(value.type_name()));
        }
      } else if (ResolvedOption* entry =
                     name.find('.') == std::string::npos ? Find(key) : nullptr) {
        if (const Status status = CheckValue(*entry->option, value); !status.ok()) {
          return ConfigError(where, status.message());
        }
        *entry = {entry->option, value, ValueSource::kFile, path};
        if (entry->option->is_path) {
          entry->value = RelativeToFolderOf(path, value.get_ref<const std::string&>());
        }
      } else if (name.find('.') == std::string::npos && IsSection(key)) {
        if (!value.is_object()) {
          return ConfigError(where, "expected an object, found " + std::string(value.type_name()));
        }
        VLASERVE_RETURN_IF_ERROR(ReadObject(value, key + ".", path));
      } else {
        return ConfigError(where, "unknown key; expected one of: " + KeysBelow(prefix));
      }
    }
    return Status::Ok();
  }

  static std::string RelativeToFolderOf(const std::string& file, const std::string& path) {
    const size_t slash = file.rfind('/');
    if (path.starts_with('/') || slash == std::string::npos) return path;
    return JoinPath(file.substr(0, slash + 1), path);
  }

  static Status SetFromText(ResolvedOption& entry, const std::string& text, ValueSource source,
                            const std::string& origin) {
    auto value = ParseValue(*entry.option, text);
    if (!value.ok()) {
      const std::string where =
          source == ValueSource::kCommandLine ? "--set " + std::string(entry.option->key) : origin;
      return ConfigError(where, value.status().message());
    }
    entry = {entry.option, *std::move(value), source, origin};
    return Status::Ok();
  }

  void WarnOfStrayVariables(const Environment& environment) {
    for (const auto& [name, value] : environment) {
      const bool of_a_group =
          std::any_of(OptionGroups().begin(), OptionGroups().end(), [&](const OptionGroup& group) {
            return name.starts_with(EnvironmentName(std::string(group.name) + "."));
          });
      const bool known = std::any_of(Options().begin(), Options().end(), [&](const Option& option) {
        return EnvironmentName(option.key) == name;
      });
      if (of_a_group && !known) {
        resolved_.warnings.push_back("environment variable " + name + " names no option: ignored");
      }
    }
  }

  ResolvedConfig resolved_;
};

}  // namespace

Environment ProcessEnvironment() {
  Environment environment;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const size_t equals = text.find('=');
    if (equals != std::string_view::npos) {
      environment.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
  }
  return environment;
}

std::string_view ValueSourceName(ValueSource source) {
  switch (source) {
    case ValueSource::kDefault:
      return "default";
    case ValueSource::kFile:
      return "file";
    case ValueSource::kEnvironment:
      return "environment";
    case ValueSource::kCommandLine:
      return "command line";
  }
  return "";
}

Result<ResolvedConfig> LoadConfig(FileSystem& files, const ConfigSources& sources) {
  Resolver resolver;
  if (!sources.file.empty()) {
    if (const Status status = resolver.ReadFile(files, sources.file); !status.ok()) {
      return Status(StatusCode::kInvalidArgument, status.message());
    }
  }
  VLASERVE_RETURN_IF_ERROR(resolver.ReadEnvironment(sources.environment));
  for (const std::string& assignment : sources.assignments) {
    VLASERVE_RETURN_IF_ERROR(resolver.ReadAssignment(assignment));
  }
  return resolver.Finish();
}

}  // namespace vlaserve
