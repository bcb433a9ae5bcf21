// TorchScript template files (model/torchscript/README.md).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "model/io/status.h"

namespace vlaserve {

// Names in capitals and the integers that stand for them.
using TemplateValues = std::map<std::string, int64_t, std::less<>>;

// TorchScript source of a template: every whole word that is a key of `values` becomes its number,
// and the lines between
//     #for NAME in COUNT
//     #end
// are repeated for NAME = 0 … COUNT - 1, COUNT being a key of `values`. Loops do not nest. Comments
// are left out. Errors (kInternal) name `origin` and the line.
Result<std::string> ExpandTemplate(std::string_view text, const TemplateValues& values,
                                   std::string_view origin);

}  // namespace vlaserve
