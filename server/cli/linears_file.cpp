#include "server/cli/linears_file.h"

#include "model/io/json.h"
#include "model/settings/json_object.h"

namespace vlaserve {
namespace {

constexpr IntRange kSize{1, int64_t{1} << 30};

Result<LinearInfo> ReadLinear(const nlohmann::json& value, const std::string& origin) {
  VLASERVE_ASSIGN_OR_RETURN(JsonObject entry,
                            JsonObject::Root(value, origin, StatusCode::kUnreadable));
  LinearInfo linear;
  VLASERVE_ASSIGN_OR_RETURN(linear.name, entry.String("name"));
  const bool is_short = entry.Has("in") || entry.Has("out");
  VLASERVE_ASSIGN_OR_RETURN(linear.in_features, entry.Int(is_short ? "in" : "in_features", kSize));
  VLASERVE_ASSIGN_OR_RETURN(linear.out_features,
                            entry.Int(is_short ? "out" : "out_features", kSize));
  VLASERVE_ASSIGN_OR_RETURN(const std::optional<bool> bias, entry.OptionalBool("bias"));
  VLASERVE_ASSIGN_OR_RETURN(const std::optional<bool> live, entry.OptionalBool("live"));
  linear.bias = bias.value_or(false);
  linear.live = live.value_or(true);
  return linear;
}

}  // namespace

Result<std::vector<LinearInfo>> ReadLinearsFile(FileSystem& files, const std::string& path) {
  VLASERVE_ASSIGN_OR_RETURN(const nlohmann::json root, ReadJsonFile(files, path));
  const nlohmann::json* list = &root;
  if (root.is_object() && root.contains("linears")) list = &root["linears"];
  if (!list->is_array()) {
    return Status(StatusCode::kUnreadable,
                  path + ": expected {\"linears\": [...]} or a list of linears");
  }
  std::vector<LinearInfo> linears;
  for (size_t i = 0; i < list->size(); ++i) {
    VLASERVE_ASSIGN_OR_RETURN(LinearInfo linear,
                              ReadLinear((*list)[i], path + ": linear " + std::to_string(i)));
    linears.push_back(std::move(linear));
  }
  return linears;
}

}  // namespace vlaserve
