// Smoothing scales from a file, {"alpha": 0.5, "layers": {"<linear>": [K numbers]}}, as
// openpi_duquant's smoothquant_llm.py writes it: x / s, W * s.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/io/file_system.h"
#include "model/io/status.h"

namespace vlaserve {

// By linear name. Errors (kUnreadable; kNotFound) name file, layer and element: a scale that is not
// a finite number above zero as float32.
Result<std::map<std::string, std::vector<float>>> ReadSmoothFile(FileSystem& files,
                                                                 const std::string& path);

}  // namespace vlaserve
