#include "server/config/config_object.h"

#include <algorithm>

#include "model/io/json.h"
#include "server/config/presets.h"

namespace vlaserve {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxConfigBytes = size_t{1} << 20;

// The keys that may stand in the object of `prefix` ("" or "server."), for messages.
std::string KeysBelow(std::string_view prefix) {
  std::vector<std::string> keys;
  for (const Option& option : Options()) {
    if (!option.key.starts_with(prefix)) continue;
    const std::string_view rest = option.key.substr(prefix.size());
    const std::string key(rest.substr(0, rest.find('.')));
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
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

std::string RelativeToFolderOf(const std::string& file, const std::string& path) {
  const size_t slash = file.rfind('/');
  if (path.starts_with('/') || slash == std::string::npos) return path;
  return JoinPath(file.substr(0, slash + 1), path);
}

class ObjectReader {
 public:
  ObjectReader(const std::string& origin, std::span<const std::string_view> others)
      : origin_(origin), others_(others) {}

  Status Read(const Json& object, const std::string& prefix) {
    for (const auto& [name, value] : object.items()) {
      const std::string key = prefix + name;
      const std::string where = origin_ + ": " + JsonPointer(key);
      const bool plain = name.find('.') == std::string::npos;
      if (prefix.empty() && name == "$schema") {
        if (!value.is_string()) {
          return ConfigError(where, "expected a string, found " + std::string(value.type_name()));
        }
      } else if (prefix.empty() &&
                 std::find(others_.begin(), others_.end(), name) != others_.end()) {
        continue;
      } else if (const Option* option = plain ? FindOption(key) : nullptr) {
        if (const Status status = CheckValue(*option, value); !status.ok()) {
          return ConfigError(where, status.message());
        }
        Add(*option, value);
      } else if (plain && IsSection(key)) {
        if (!value.is_object()) {
          return ConfigError(where, "expected an object, found " + std::string(value.type_name()));
        }
        VLASERVE_RETURN_IF_ERROR(Read(value, key + "."));
      } else {
        return ConfigError(where, "unknown key; expected one of: " + KeysBelow(prefix));
      }
    }
    return Status::Ok();
  }

  std::vector<OptionValue> TakeValues() { return std::move(values_); }

 private:
  void Add(const Option& option, const Json& value) {
    values_.push_back({&option, value});
    const bool is_path =
        option.is_path || (option.key == kPresetKey && IsPresetPath(value.get<std::string>()));
    if (is_path) {
      values_.back().value = RelativeToFolderOf(origin_, value.get_ref<const std::string&>());
    }
  }

  const std::string& origin_;
  std::span<const std::string_view> others_;
  std::vector<OptionValue> values_;
};

}  // namespace

Status ConfigError(std::string_view origin, std::string_view what) {
  return {StatusCode::kInvalidArgument, std::string(origin) + ": " + std::string(what)};
}

Result<Json> ReadConfigJson(FileSystem& files, const std::string& path) {
  VLASERVE_ASSIGN_OR_RETURN(const std::string text, files.Read(path, kMaxConfigBytes));
  // nlohmann::json skips a byte order mark, which RFC 8259 lets it do; we say what is there.
  if (text.starts_with("\xEF\xBB\xBF")) {
    return ConfigError(path, "starts with a byte order mark, expected plain UTF-8 JSON");
  }
  return ParseJson(text, path);
}

Result<std::vector<OptionValue>> ReadOptions(const Json& root, const std::string& origin,
                                             std::span<const std::string_view> others) {
  if (!root.is_object()) {
    return ConfigError(origin, "expected a JSON object, found " + std::string(root.type_name()));
  }
  ObjectReader reader(origin, others);
  VLASERVE_RETURN_IF_ERROR(reader.Read(root, ""));
  return reader.TakeValues();
}

}  // namespace vlaserve
