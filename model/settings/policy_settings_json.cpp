#include <algorithm>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "model/io/json.h"
#include "model/settings/json_object.h"
#include "model/settings/policy_settings.h"
#include "model/settings/spellings.h"

namespace vlaserve {
namespace {

using nlohmann::json;

constexpr int64_t kFormat = 1;
constexpr IntRange kDimension{1, kMaxDimension};
constexpr IntRange kNumSteps{1, 100};
// What the demo policy's file says for PromptFormat::kPi0.
constexpr std::string_view kPi0PromptAlias = "bos + prompt, then newline encoded on its own";

template <typename Enum, size_t kCount>
Result<std::optional<Enum>> OptionalEnum(JsonObject& object, std::string_view key,
                                         const Spellings<Enum, kCount>& spellings) {
  VLASERVE_ASSIGN_OR_RETURN(const std::optional<std::string> text, object.OptionalString(key));
  if (!text) return std::optional<Enum>();
  const std::optional<Enum> value = FromSpelling(spellings, *text);
  if (!value) {
    return object.Error(
        key, "expected " + SpellingList(spellings) + ", found " + JsonExcerpt(json(*text)));
  }
  return value;
}

// "observation/image" -> "image"; without a slash "observation.images.image" -> "image".
std::string LastComponent(const std::string& key) {
  const size_t slash = key.rfind('/');
  const size_t separator = slash != std::string::npos ? slash : key.rfind('.');
  return separator == std::string::npos ? key : key.substr(separator + 1);
}

Result<Camera> ParseCamera(JsonObject& object) {
  Camera camera;
  VLASERVE_ASSIGN_OR_RETURN(camera.slot, object.String("slot"));
  VLASERVE_ASSIGN_OR_RETURN(camera.observation_key, object.OptionalString("observation_key"));
  VLASERVE_ASSIGN_OR_RETURN(camera.name, object.OptionalString("name"));
  if (!camera.name && camera.observation_key) camera.name = LastComponent(*camera.observation_key);
  if (camera.name && camera.name->empty()) {
    return object.Error(object.Has("name") ? "name" : "observation_key",
                        "the camera's name would be empty, expected at least one character");
  }
  VLASERVE_ASSIGN_OR_RETURN(const std::optional<bool> optional, object.OptionalBool("optional"));
  if (optional && !camera.name) {
    return object.Error("optional",
                        "expected only for a camera with a name; this slot has neither "
                        "name nor observation_key and is always empty");
  }
  camera.optional = optional.value_or(false);
  VLASERVE_RETURN_IF_ERROR(object.RejectUnknownKeys());
  return camera;
}

Status ParseCameras(JsonObject& root, PolicySettings& settings) {
  VLASERVE_ASSIGN_OR_RETURN(std::vector<JsonObject> objects, root.ObjectArray("cameras"));
  std::set<std::string> slots;
  std::set<std::string> names;
  for (JsonObject& object : objects) {
    VLASERVE_ASSIGN_OR_RETURN(Camera camera, ParseCamera(object));
    if (!slots.insert(camera.slot).second) {
      return object.Error("slot", "\"" + camera.slot + "\" occurs twice, expected distinct slots");
    }
    if (camera.name && !names.insert(*camera.name).second) {
      return object.Error(
          object.Has("name") ? "name" : "observation_key",
          "two cameras are named \"" + *camera.name + "\", expected distinct names");
    }
    settings.cameras.push_back(std::move(camera));
  }
  if (names.empty()) {
    return root.Error("cameras",
                      "no camera has a name or an observation_key, expected at least one");
  }
  if (std::all_of(settings.cameras.begin(), settings.cameras.end(),
                  [](const Camera& camera) { return !camera.name || camera.optional; })) {
    return root.Error("cameras", "every camera is optional, expected at least one that is not");
  }
  return Status::Ok();
}

Status ParseImage(JsonObject& root, PolicySettings& settings) {
  VLASERVE_ASSIGN_OR_RETURN(std::optional<JsonObject> image, root.OptionalObject("image"));
  if (!image) return Status::Ok();
  VLASERVE_ASSIGN_OR_RETURN(settings.image_size, image->OptionalInt("size", kDimension));
  VLASERVE_ASSIGN_OR_RETURN(settings.patch_size, image->OptionalInt("patch_size", kDimension));
  VLASERVE_ASSIGN_OR_RETURN(const auto resize,
                            OptionalEnum(*image, "resize", kResizeMethodSpellings));
  settings.resize = resize.value_or(settings.resize);
  return image->RejectUnknownKeys();
}

Status ParsePrompt(JsonObject& root, PolicySettings& settings) {
  VLASERVE_ASSIGN_OR_RETURN(const std::optional<bool> state_in_prompt,
                            root.OptionalBool("state_in_prompt"));
  VLASERVE_ASSIGN_OR_RETURN(std::optional<std::string> text, root.OptionalString("prompt_format"));
  std::optional<PromptFormat> format;
  if (text) {
    format =
        *text == kPi0PromptAlias ? PromptFormat::kPi0 : FromSpelling(kPromptFormatSpellings, *text);
    if (!format) {
      return root.Error("prompt_format", "expected " + SpellingList(kPromptFormatSpellings) +
                                             ", found " + JsonExcerpt(json(*text)));
    }
  } else if (state_in_prompt) {
    format = *state_in_prompt ? PromptFormat::kPi05State : PromptFormat::kPi0;
  } else if (settings.type == PolicyType::kPi0) {
    format = PromptFormat::kPi0;
  } else {
    return root.Error("prompt_format",
                      "expected \"pi05_state\" (the state is part of the prompt, openpi's "
                      "discrete_state_input) or \"pi0\" (it is not); π0.5 models exist with both, "
                      "so there is no default");
  }
  settings.prompt_format = *format;
  if (state_in_prompt && *state_in_prompt != settings.state_in_prompt()) {
    return root.Error("state_in_prompt", std::string("expected ") +
                                             (settings.state_in_prompt() ? "true" : "false") +
                                             " with this prompt_format, found " +
                                             (*state_in_prompt ? "true" : "false"));
  }
  VLASERVE_ASSIGN_OR_RETURN(settings.default_prompt, root.OptionalString("default_prompt"));
  if (settings.default_prompt && settings.default_prompt->empty()) {
    return root.Error("default_prompt", "expected a string that is not empty, or no such key");
  }
  return Status::Ok();
}

Status ParseDeltaActionMask(JsonObject& root, PolicySettings& settings) {
  constexpr std::string_view kKey = "delta_action_mask";
  VLASERVE_ASSIGN_OR_RETURN(const json* mask, root.OptionalArray(kKey));
  if (mask == nullptr) return Status::Ok();
  const auto length = static_cast<int64_t>(mask->size());
  if (length < 1 || length > settings.output_action_dim) {
    return root.Error(kKey, "expected null or 1 to " + std::to_string(settings.output_action_dim) +
                                " elements (output_action_dim), found " + std::to_string(length));
  }
  for (size_t i = 0; i < mask->size(); ++i) {
    if (!(*mask)[i].is_boolean()) {
      return root.Error(kKey, "expected true or false at index " + std::to_string(i) + ", found " +
                                  JsonExcerpt((*mask)[i]));
    }
    settings.delta_action_mask.push_back((*mask)[i].get<bool>());
    if (settings.delta_action_mask.back() && static_cast<int64_t>(i) >= settings.state_dim) {
      return root.Error(kKey, "index " + std::to_string(i) +
                                  " is true, but the state to which the action would be added has "
                                  "only state_dim " +
                                  std::to_string(settings.state_dim) + " elements");
    }
  }
  return Status::Ok();
}

Status ParseAssetId(JsonObject& root, PolicySettings& settings) {
  VLASERVE_ASSIGN_OR_RETURN(const std::optional<std::string> id, root.OptionalString("asset_id"));
  if (!id) return Status::Ok();
  const bool climbs = *id == ".." || id->starts_with("../") || id->ends_with("/..") ||
                      id->find("/../") != std::string::npos;
  if (id->starts_with('/') || climbs) {
    return root.Error("asset_id", "expected a path below the checkpoint's assets folder, found " +
                                      JsonExcerpt(json(*id)));
  }
  settings.asset_id = *id;
  return Status::Ok();
}

Status ParseSizes(JsonObject& root, PolicySettings& settings) {
  VLASERVE_ASSIGN_OR_RETURN(settings.action_dim, root.OptionalInt("action_dim", kDimension));
  VLASERVE_ASSIGN_OR_RETURN(settings.horizon, root.OptionalInt("action_horizon", kDimension));
  VLASERVE_ASSIGN_OR_RETURN(settings.prompt_slots, root.OptionalInt("max_token_len", kDimension));
  VLASERVE_ASSIGN_OR_RETURN(settings.vision_heads, root.OptionalInt("vision_heads", kDimension));
  VLASERVE_ASSIGN_OR_RETURN(const auto num_steps, root.OptionalInt("num_steps", kNumSteps));
  settings.num_steps = num_steps.value_or(settings.num_steps);
  VLASERVE_ASSIGN_OR_RETURN(settings.state_dim, root.Int("state_dim", kDimension));
  VLASERVE_ASSIGN_OR_RETURN(settings.output_action_dim, root.Int("output_action_dim", kDimension));
  if (!settings.action_dim) return Status::Ok();
  for (const auto& [key, value] : {std::pair("state_dim", settings.state_dim),
                                   std::pair("output_action_dim", settings.output_action_dim)}) {
    if (value > *settings.action_dim) {
      return root.Error(key, "expected at most action_dim " + std::to_string(*settings.action_dim) +
                                 ", found " + std::to_string(value));
    }
  }
  return Status::Ok();
}

Status ParseRoot(JsonObject& root, PolicySettings& settings) {
  VLASERVE_ASSIGN_OR_RETURN(const int64_t format, root.Int("format", {}));
  if (format != kFormat) {
    return root.Error("format", "expected 1, the format that this program reads, found " +
                                    std::to_string(format));
  }
  VLASERVE_ASSIGN_OR_RETURN(settings.name, root.String("name"));
  VLASERVE_ASSIGN_OR_RETURN(const auto type, OptionalEnum(root, "type", kPolicyTypeSpellings));
  if (!type) return root.Error("type", "expected " + SpellingList(kPolicyTypeSpellings));
  settings.type = *type;
  VLASERVE_RETURN_IF_ERROR(ParseSizes(root, settings));
  VLASERVE_RETURN_IF_ERROR(ParseAssetId(root, settings));
  VLASERVE_ASSIGN_OR_RETURN(const auto normalization,
                            OptionalEnum(root, "normalization", kNormalizationSpellings));
  settings.normalization = normalization.value_or(
      *type == PolicyType::kPi0 ? Normalization::kZScore : Normalization::kQuantile);
  VLASERVE_ASSIGN_OR_RETURN(const auto convention,
                            OptionalEnum(root, "convention", kConventionSpellings));
  settings.convention = convention.value_or(settings.convention);
  VLASERVE_RETURN_IF_ERROR(ParseDeltaActionMask(root, settings));
  VLASERVE_RETURN_IF_ERROR(ParseCameras(root, settings));
  VLASERVE_RETURN_IF_ERROR(ParseImage(root, settings));
  VLASERVE_RETURN_IF_ERROR(ParsePrompt(root, settings));
  VLASERVE_ASSIGN_OR_RETURN(const auto time_steps,
                            OptionalEnum(root, "time_steps", kTimeStepsSpellings));
  settings.time_steps = time_steps.value_or(settings.time_steps);
  VLASERVE_ASSIGN_OR_RETURN(settings.rope_inv_freq,
                            OptionalEnum(root, "rope_inv_freq", kRopeInvFreqSpellings));
  VLASERVE_ASSIGN_OR_RETURN(const std::optional<JsonObject> client, root.OptionalObject("client"));
  if (client) settings.client_json = client->value().dump();
  return root.RejectUnknownKeys();
}

}  // namespace

Result<PolicySettings> ParsePolicySettings(std::string_view json_text, std::string_view origin) {
  Result<json> parsed = ParseJson(json_text, origin);
  if (!parsed.ok()) return Status(StatusCode::kInvalidArgument, parsed.status().message());
  VLASERVE_ASSIGN_OR_RETURN(JsonObject root,
                            JsonObject::Root(*parsed, origin, StatusCode::kInvalidArgument));
  PolicySettings settings;
  VLASERVE_RETURN_IF_ERROR(ParseRoot(root, settings));
  return settings;
}

std::string PolicySettingsToJson(const PolicySettings& settings) {
  using nlohmann::ordered_json;
  ordered_json root;
  const auto put_optional = [](ordered_json& object, const char* key, const auto& value) {
    if (value) object[key] = *value;
  };
  root["format"] = kFormat;
  root["name"] = settings.name;
  root["type"] = PolicyTypeName(settings.type);
  put_optional(root, "action_dim", settings.action_dim);
  put_optional(root, "action_horizon", settings.horizon);
  put_optional(root, "max_token_len", settings.prompt_slots);
  put_optional(root, "vision_heads", settings.vision_heads);
  root["num_steps"] = settings.num_steps;
  root["state_dim"] = settings.state_dim;
  root["output_action_dim"] = settings.output_action_dim;
  root["asset_id"] = settings.asset_id;
  root["normalization"] = Spelling(kNormalizationSpellings, settings.normalization);
  root["convention"] = Spelling(kConventionSpellings, settings.convention);
  root["delta_action_mask"] = nullptr;
  if (!settings.delta_action_mask.empty()) root["delta_action_mask"] = settings.delta_action_mask;
  root["cameras"] = ordered_json::array();
  for (const Camera& camera : settings.cameras) {
    ordered_json object{{"slot", camera.slot}};
    put_optional(object, "name", camera.name);
    put_optional(object, "observation_key", camera.observation_key);
    if (camera.optional) object["optional"] = true;
    root["cameras"].push_back(std::move(object));
  }
  ordered_json image = ordered_json::object();
  put_optional(image, "size", settings.image_size);
  put_optional(image, "patch_size", settings.patch_size);
  image["resize"] = Spelling(kResizeMethodSpellings, settings.resize);
  root["image"] = std::move(image);
  root["state_in_prompt"] = settings.state_in_prompt();
  root["prompt_format"] = Spelling(kPromptFormatSpellings, settings.prompt_format);
  put_optional(root, "default_prompt", settings.default_prompt);
  root["time_steps"] = Spelling(kTimeStepsSpellings, settings.time_steps);
  if (settings.rope_inv_freq) {
    root["rope_inv_freq"] = Spelling(kRopeInvFreqSpellings, *settings.rope_inv_freq);
  }
  root["client"] = ordered_json::parse(settings.client_json, nullptr, false);
  return root.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace vlaserve
