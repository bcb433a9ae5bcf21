#include "model/checkpoint/declared_sizes.h"

#include <utility>

#include "model/checkpoint/geometry_json.h"
#include "model/io/json.h"
#include "model/settings/json_object.h"
#include "model/settings/spellings.h"

namespace vlaserve {
namespace {

constexpr size_t kMaxBytes = size_t{16} << 20;
constexpr IntRange kSize{1, kMaxDimension};

Status ReadOpenpiConfig(JsonObject& config, DeclaredSizes& sizes) {
  VLASERVE_ASSIGN_OR_RETURN(sizes.horizon, config.OptionalInt("action_horizon", kSize));
  VLASERVE_ASSIGN_OR_RETURN(sizes.prompt_slots, config.OptionalInt("max_token_len", kSize));
  VLASERVE_ASSIGN_OR_RETURN(sizes.action_dim, config.OptionalInt("action_dim", kSize));
  return Status::Ok();
}

Status ReadLerobotConfig(JsonObject& config, DeclaredSizes& sizes) {
  sizes.lerobot = true;
  VLASERVE_ASSIGN_OR_RETURN(const std::string type, config.String("type"));
  sizes.type = FromSpelling(kPolicyTypeSpellings, type);
  if (!sizes.type) {
    const bool fast = type == "pi0_fast" || type == "pi0fast";
    Status status = config.Error(
        "type", fast ? "this is a π0-FAST policy, which generates actions as text; only π0 and "
                       "π0.5 are supported"
                     : "expected " + SpellingList(kPolicyTypeSpellings) + ", found " +
                           JsonExcerpt(nlohmann::json(type)));
    return {StatusCode::kUnsupported, status.message()};
  }
  VLASERVE_ASSIGN_OR_RETURN(sizes.horizon, config.OptionalInt("chunk_size", kSize));
  VLASERVE_ASSIGN_OR_RETURN(sizes.prompt_slots, config.OptionalInt("tokenizer_max_length", kSize));
  VLASERVE_ASSIGN_OR_RETURN(sizes.action_dim, config.OptionalInt("max_action_dim", kSize));
  VLASERVE_ASSIGN_OR_RETURN(sizes.min_period, config.OptionalPositiveNumber("min_period"));
  VLASERVE_ASSIGN_OR_RETURN(sizes.max_period, config.OptionalPositiveNumber("max_period"));
  VLASERVE_ASSIGN_OR_RETURN(const nlohmann::json* resolution,
                            config.OptionalArray("image_resolution"));
  if (resolution == nullptr) return Status::Ok();
  if (resolution->size() != 2 || !(*resolution)[0].is_number_unsigned() ||
      (*resolution)[0] != (*resolution)[1]) {
    return config.Error("image_resolution",
                        "expected two equal integers (a square), found " + resolution->dump());
  }
  sizes.image_size = (*resolution)[0].get<int64_t>();
  return Status::Ok();
}

// config.json against geometry.json.
Status CheckAgreement(const DeclaredSizes& sizes) {
  const Geometry& geometry = *sizes.geometry;
  if (sizes.type && *sizes.type != geometry.type) {
    return {StatusCode::kUnreadable,
            sizes.config_path + " says " + std::string(PolicyTypeName(*sizes.type)) + ", but " +
                sizes.geometry_path + " says " + std::string(PolicyTypeName(geometry.type))};
  }
  struct Pair {
    std::string_view what;
    std::optional<int64_t> config;
    int64_t geometry;
  };
  const Pair pairs[] = {{"the action horizon", sizes.horizon, geometry.horizon},
                        {"the number of prompt slots", sizes.prompt_slots, geometry.prompt_slots},
                        {"the action dimension", sizes.action_dim, geometry.action_dim},
                        {"the image size", sizes.image_size, geometry.image_size}};
  for (const Pair& pair : pairs) {
    if (!pair.config || *pair.config == pair.geometry) continue;
    return {StatusCode::kUnreadable, sizes.config_path + " says " + std::string(pair.what) +
                                         " is " + std::to_string(*pair.config) + ", but " +
                                         sizes.geometry_path + " says " +
                                         std::to_string(pair.geometry)};
  }
  return Status::Ok();
}

}  // namespace

Result<DeclaredSizes> ReadDeclaredSizes(FileSystem& files, const std::string& directory) {
  DeclaredSizes sizes;
  const std::string geometry_path = JoinPath(directory, "geometry.json");
  if (files.IsFile(geometry_path)) {
    sizes.geometry_path = geometry_path;
    VLASERVE_ASSIGN_OR_RETURN(const std::string text, files.Read(geometry_path, kMaxBytes));
    VLASERVE_ASSIGN_OR_RETURN(sizes.geometry, ParseGeometry(text, geometry_path));
  }
  const std::string config_path = JoinPath(directory, "config.json");
  if (files.IsFile(config_path)) {
    sizes.config_path = config_path;
    VLASERVE_ASSIGN_OR_RETURN(const nlohmann::json json,
                              ReadJsonFile(files, config_path, kMaxBytes));
    VLASERVE_ASSIGN_OR_RETURN(JsonObject config,
                              JsonObject::Root(json, config_path, StatusCode::kUnreadable));
    VLASERVE_RETURN_IF_ERROR(config.Has("type") ? ReadLerobotConfig(config, sizes)
                                                : ReadOpenpiConfig(config, sizes));
  }
  if (sizes.geometry && !sizes.config_path.empty()) VLASERVE_RETURN_IF_ERROR(CheckAgreement(sizes));
  return sizes;
}

}  // namespace vlaserve
