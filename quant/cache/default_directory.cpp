#include "quant/cache/default_directory.h"

#include "model/io/file_system.h"

namespace vlaserve {

std::string DefaultPackCacheDirectory(const std::map<std::string, std::string>& environment) {
  const auto absolute_path = [&](const char* name) {
    const auto found = environment.find(name);
    return found != environment.end() && found->second.starts_with('/') ? found->second : "";
  };
  std::string cache = absolute_path("XDG_CACHE_HOME");
  if (cache.empty()) {
    const std::string home = absolute_path("HOME");
    if (home.empty()) return "";
    cache = JoinPath(home, ".cache");
  }
  return JoinPath(cache, "vlaserve/packs");
}

}  // namespace vlaserve
