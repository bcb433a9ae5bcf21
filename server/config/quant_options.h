// The options of the groups "quant" and "pack_cache" (option.h).
#pragma once

#include <vector>

#include "server/config/option.h"

namespace vlaserve {

std::vector<Option> QuantOptions();

}  // namespace vlaserve
