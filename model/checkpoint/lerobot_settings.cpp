#include "model/checkpoint/lerobot_settings.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "model/checkpoint/lerobot_processors.h"
#include "model/io/json.h"
#include "model/settings/json_object.h"
#include "model/settings/spellings.h"

namespace vlaserve {
namespace {

constexpr size_t kMaxBytes = size_t{16} << 20;
constexpr IntRange kDimension{1, 4096};
constexpr double kLerobotEps = 1e-8;
constexpr std::string_view kAdvice =
    "; describe the policy in a settings file and name that (--policy FILE.json)";
constexpr std::array<std::string_view, 3> kSlots = {"base_0_rgb", "left_wrist_0_rgb",
                                                    "right_wrist_0_rgb"};
// Steps whose effect is part of vlaserve's own pipeline, or of the settings.
constexpr std::array<std::string_view, 10> kKnownSteps = {
    "rename_observations_processor", "to_batch_processor",
    "pi0_new_line_processor",        "pi05_prepare_state_tokenizer_processor_step",
    "tokenizer_processor",           "device_processor",
    "relative_actions_processor",    "absolute_actions_processor",
    "normalizer_processor",          "unnormalizer_processor"};

Status Unsupported(const std::string& path, const std::string& what) {
  return {StatusCode::kUnsupported, path + ": " + what + std::string(kAdvice)};
}

std::string LastComponent(const std::string& key) { return key.substr(key.rfind('.') + 1); }

std::string SlotName(size_t index) {
  if (index < kSlots.size()) return std::string(kSlots[index]);
  std::string slot = "camera_";
  slot += std::to_string(index);
  return slot;
}

// The length of the only feature of `type`.
Result<int64_t> FeatureLength(JsonObject& config, std::string_view key, std::string_view type) {
  VLASERVE_ASSIGN_OR_RETURN(JsonObject features, config.Object(key));
  VLASERVE_ASSIGN_OR_RETURN(auto members, features.ObjectMembers());
  std::optional<int64_t> length;
  for (auto& [name, feature] : members) {
    VLASERVE_ASSIGN_OR_RETURN(const std::string found_type, feature.String("type"));
    if (found_type != type) continue;
    VLASERVE_ASSIGN_OR_RETURN(const nlohmann::json* shape, feature.OptionalArray("shape"));
    if (shape == nullptr || shape->size() != 1 || !(*shape)[0].is_number_unsigned() ||
        (*shape)[0] < kDimension.min || (*shape)[0] > kDimension.max) {
      return feature.Error("shape", "expected one integer from 1 to 4096");
    }
    if (length) {
      return config.Error(key, "two features of type " + std::string(type) +
                                   ", expected exactly one" + std::string(kAdvice));
    }
    length = (*shape)[0].get<int64_t>();
  }
  if (!length) {
    return config.Error(key, "no feature of type " + std::string(type) + ", expected exactly one" +
                                 std::string(kAdvice));
  }
  return *length;
}

// Keys of all features of type VISUAL, in file order: the order of the model's cameras.
Result<std::vector<std::string>> CameraKeys(const std::string& config_text, JsonObject& config) {
  VLASERVE_ASSIGN_OR_RETURN(JsonObject features, config.Object("input_features"));
  std::vector<std::string> keys;
  const auto ordered = nlohmann::ordered_json::parse(config_text, nullptr, false);
  for (const auto& [key, feature] : ordered["input_features"].items()) {
    if (feature.is_object() && feature.contains("type") && feature["type"] == "VISUAL") {
      keys.push_back(key);
    }
  }
  VLASERVE_ASSIGN_OR_RETURN(const std::optional<int64_t> empty,
                            config.OptionalInt("empty_cameras", {0, kDimension.max}));
  for (int64_t i = 0; i < empty.value_or(0); ++i) {
    std::string key = "observation.images.empty_camera_";
    key += std::to_string(i);
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
  }
  return keys;
}

Status SetCameras(const std::vector<std::string>& keys, const LerobotProcessor* preprocessor,
                  JsonObject& config, PolicySettings& settings) {
  bool any_name = false;
  for (size_t i = 0; i < keys.size(); ++i) {
    Camera camera;
    camera.slot = SlotName(i);
    if (!LastComponent(keys[i]).starts_with("empty_camera_")) {
      camera.observation_key = keys[i];
      if (preprocessor != nullptr) {
        for (const auto& [from, to] : preprocessor->rename_map) {
          if (to == keys[i]) camera.observation_key = from;
        }
      }
      camera.name = LastComponent(*camera.observation_key);
      any_name = true;
      for (const Camera& other : settings.cameras) {
        if (other.name == camera.name) {
          return config.Error("input_features", "two cameras would be named \"" + *camera.name +
                                                    "\"" + std::string(kAdvice));
        }
      }
    }
    settings.cameras.push_back(std::move(camera));
  }
  if (any_name) return Status::Ok();
  return config.Error(
      "input_features",
      "no camera (feature of type VISUAL), expected at least one" + std::string(kAdvice));
}

// How features of `kind` ("STATE") are normalised, by the processor that does it, else config.json.
std::string NormalizationMode(const std::string& kind, const LerobotProcessor* processor,
                              const std::map<std::string, std::string>& config_map) {
  for (const auto* map : {processor == nullptr ? nullptr : &processor->norm_map, &config_map}) {
    if (map == nullptr) continue;
    if (const auto mode = map->find(kind); mode != map->end()) return mode->second;
  }
  return "nothing";
}

Status SetNormalization(JsonObject& config, const std::string& config_path,
                        const LerobotProcessor* preprocessor, const LerobotProcessor* postprocessor,
                        PolicySettings& settings) {
  VLASERVE_ASSIGN_OR_RETURN(const auto map, StringMap(config, "normalization_mapping"));
  const std::string state = NormalizationMode("STATE", preprocessor, map);
  const std::string action = NormalizationMode("ACTION", postprocessor, map);
  if (state != action || (state != "MEAN_STD" && state != "QUANTILES")) {
    return Unsupported(config_path,
                       "normalization_mapping: expected MEAN_STD or QUANTILES for both STATE and "
                       "ACTION, found " +
                           state + " and " + action);
  }
  settings.normalization = state == "MEAN_STD" ? Normalization::kZScore : Normalization::kQuantile;
  for (const LerobotProcessor* processor : {preprocessor, postprocessor}) {
    if (processor != nullptr && processor->eps.value_or(kLerobotEps) != kLerobotEps) {
      return Unsupported(processor->path, "normalises with eps " + std::to_string(*processor->eps) +
                                              ", expected LeRobot's 1e-8");
    }
  }
  return Status::Ok();
}

std::string LowerCase(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

// Which dimensions are offsets: all whose name contains no excluded word; all if there are no names
// (lerobot/processor/relative_action_processor.py).
Status SetDeltaActionMask(const LerobotProcessor* preprocessor,
                          const LerobotProcessor* postprocessor, const std::string& config_path,
                          bool configured, PolicySettings& settings) {
  const bool relative = preprocessor != nullptr && preprocessor->relative_actions;
  const bool absolute = postprocessor != nullptr && postprocessor->relative_actions;
  if (relative != absolute || configured != relative) {
    return Unsupported(config_path,
                       "use_relative_actions, the preprocessor's relative_actions_processor and "
                       "the postprocessor's absolute_actions_processor disagree on whether actions "
                       "are offsets to the state");
  }
  if (!relative) return Status::Ok();
  const auto dims = static_cast<size_t>(settings.output_action_dim);
  settings.delta_action_mask.assign(dims, true);
  if (preprocessor->action_names) {
    for (size_t i = 0; i < std::min(dims, preprocessor->action_names->size()); ++i) {
      const std::string name = LowerCase((*preprocessor->action_names)[i]);
      for (const std::string& word : preprocessor->exclude_joints) {
        if (!word.empty() && name.find(LowerCase(word)) != std::string::npos) {
          settings.delta_action_mask[i] = false;
        }
      }
    }
  }
  for (size_t i = static_cast<size_t>(settings.state_dim); i < dims; ++i) {
    if (settings.delta_action_mask[i]) {
      return Unsupported(config_path, "action " + std::to_string(i) +
                                          " is an offset to the state, which has only " +
                                          std::to_string(settings.state_dim) + " dimensions");
    }
  }
  return Status::Ok();
}

Status RefuseUnknownSteps(const LerobotProcessor* processor) {
  if (processor == nullptr) return Status::Ok();
  for (const std::string& step : processor->steps) {
    if (std::find(kKnownSteps.begin(), kKnownSteps.end(), step) == kKnownSteps.end()) {
      return Unsupported(processor->path, "unknown processing step \"" + step + "\"");
    }
  }
  return Status::Ok();
}

// Options that change what the model is or what it is given.
Status RefuseOptions(JsonObject& config, const std::string& config_path) {
  for (const char* option : {"use_visual_memory", "use_proprioceptive_memory", "adapt_to_pi_aloha",
                             "use_delta_joint_actions_aloha"}) {
    VLASERVE_ASSIGN_OR_RETURN(const std::optional<bool> set, config.OptionalBool(option));
    if (set.value_or(false)) {
      return Unsupported(config_path, std::string(option) + " is true, which is not supported");
    }
  }
  return Status::Ok();
}

Status SetFromConfig(const std::string& text, const std::string& path, JsonObject& config,
                     const LerobotProcessor* preprocessor, const LerobotProcessor* postprocessor,
                     PolicySettings& settings) {
  VLASERVE_ASSIGN_OR_RETURN(const std::string type, config.String("type"));
  const auto policy_type = FromSpelling(kPolicyTypeSpellings, type);
  if (!policy_type) {
    return config.Error("type", "expected " + SpellingList(kPolicyTypeSpellings));
  }
  settings.type = *policy_type;
  settings.name = type + "_lerobot";
  settings.convention = Convention::kLerobot;
  settings.resize = ResizeMethod::kTorchBilinearWithPad;
  settings.time_steps = TimeSteps::kLerobot;
  settings.prompt_format =
      *policy_type == PolicyType::kPi0 ? PromptFormat::kLerobotPi0 : PromptFormat::kPi05State;
  VLASERVE_RETURN_IF_ERROR(RefuseOptions(config, path));
  VLASERVE_RETURN_IF_ERROR(RefuseUnknownSteps(preprocessor));
  VLASERVE_RETURN_IF_ERROR(RefuseUnknownSteps(postprocessor));
  VLASERVE_ASSIGN_OR_RETURN(settings.state_dim, FeatureLength(config, "input_features", "STATE"));
  VLASERVE_ASSIGN_OR_RETURN(settings.output_action_dim,
                            FeatureLength(config, "output_features", "ACTION"));
  VLASERVE_ASSIGN_OR_RETURN(const std::vector<std::string> keys, CameraKeys(text, config));
  VLASERVE_RETURN_IF_ERROR(SetCameras(keys, preprocessor, config, settings));
  VLASERVE_RETURN_IF_ERROR(SetNormalization(config, path, preprocessor, postprocessor, settings));
  // "num_steps" before LeRobot 0.2.
  for (const char* key : {"num_steps", "num_inference_steps"}) {
    VLASERVE_ASSIGN_OR_RETURN(const std::optional<int64_t> steps,
                              config.OptionalInt(key, {1, 100}));
    settings.num_steps = steps.value_or(settings.num_steps);
  }
  VLASERVE_ASSIGN_OR_RETURN(const std::optional<bool> relative,
                            config.OptionalBool("use_relative_actions"));
  return SetDeltaActionMask(preprocessor, postprocessor, path, relative.value_or(false), settings);
}

}  // namespace

Result<PolicySettings> LerobotSettings(FileSystem& files, const std::string& directory) {
  const std::string path = JoinPath(directory, "config.json");
  VLASERVE_ASSIGN_OR_RETURN(const std::string text, files.Read(path, kMaxBytes));
  VLASERVE_ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson(text, path));
  VLASERVE_ASSIGN_OR_RETURN(JsonObject config,
                            JsonObject::Root(json, path, StatusCode::kUnreadable));
  VLASERVE_ASSIGN_OR_RETURN(const std::optional<LerobotProcessor> preprocessor,
                            ReadLerobotProcessor(files, directory, kLerobotPreprocessor));
  VLASERVE_ASSIGN_OR_RETURN(const std::optional<LerobotProcessor> postprocessor,
                            ReadLerobotProcessor(files, directory, kLerobotPostprocessor));
  PolicySettings settings;
  VLASERVE_RETURN_IF_ERROR(SetFromConfig(text, path, config,
                                         preprocessor ? &*preprocessor : nullptr,
                                         postprocessor ? &*postprocessor : nullptr, settings));
  return settings;
}

}  // namespace vlaserve
