// The process's environment variables.
#pragma once

#include <map>
#include <string>

namespace vlaserve {

using Environment = std::map<std::string, std::string>;

// As it is now.
Environment ProcessEnvironment();

}  // namespace vlaserve
