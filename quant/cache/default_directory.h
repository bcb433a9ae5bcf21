// Where packs are cached if nobody says where.
#pragma once

#include <map>
#include <string>

namespace vlaserve {

// "$XDG_CACHE_HOME/vlaserve/packs" if the variable is an absolute path (the XDG base directory
// specification ignores others), else "$HOME/.cache/vlaserve/packs"; empty if HOME is not an
// absolute path either. `environment`: names to values.
std::string DefaultPackCacheDirectory(const std::map<std::string, std::string>& environment);

}  // namespace vlaserve
