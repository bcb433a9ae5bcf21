// TorchScript source of an archive, checked before LibTorch imports it. Includes no LibTorch.
#pragma once

#include <string>

#include "model/io/status.h"

namespace vlaserve {

// Refuses code that LibTorch would run or construct while it loads the module: __setstate__ and
// __getstate__ (run by the unpickler), C++ custom classes, default values of parameters and of
// NamedTuple fields that are not plain literals (evaluated on import). Also refuses nesting that
// LibTorch's recursive parser could not survive, and what it cannot parse. kUnreadable, naming
// file, record and line.
Status CheckCode(const std::string& path, const std::string& import_path,
                 const std::string& source);

}  // namespace vlaserve
