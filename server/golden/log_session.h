// One golden session of openpi_duquant with layers that run. Free of LibTorch in this header.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "model/io/file_system.h"
#include "model/io/status.h"
#include "quant/select/select.h"

namespace vlaserve {

// The lines that this server prints, in order, for the session's `env`, `dtype`, `forwards` and
// `episodes` on layers of `linears`, with engine legacy_exact and a clock by which every call takes
// as long as in the golden data. Files that the session writes are openpi_duquant's packs, which we
// only read. Errors: those of configuration, selection, packer and engines. Throws what
// nlohmann::json throws for a session of another form.
Result<std::vector<std::string>> RunLogSession(FileSystem& files, const nlohmann::json& session,
                                               const std::vector<LinearInfo>& linears);

}  // namespace vlaserve
