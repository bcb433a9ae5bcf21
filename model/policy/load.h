// Weights from an archive's mapping to what the policy computes with.
//
// Free of LibTorch headers.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "model/archive/archive.h"
#include "model/io/dtype.h"
#include "model/io/status.h"
#include "model/policy/run_options.h"

namespace vlaserve {

// The dtype in which the parameter `name`, stored as `stored`, is wanted in memory. adaRMS dense
// layers stay as stored where the step table is on: they are read only when a table is made, and
// the archive's code computes with them in float32 whatever their dtype.
DType WantedDtype(std::string_view name, DType stored, const RunOptions& options);

struct LoadSummary {
  int64_t mapped_bytes = 0;     // parameters that stay in the archive's mapping
  int64_t converted_bytes = 0;  // parameters copied to memory in another dtype
};

// Replaces, one at a time, every parameter of the archive's module that is not stored in its wanted
// dtype and releases the stored pages; the others keep aliasing the mapping. Replaces the RoPE
// frequencies if they are to be rounded. A parameter that is only a shape (expanded from one
// element: whoever put it there computes with something else) is left alone. kInternal for what
// LibTorch reports (no memory).
Result<LoadSummary> LoadWeights(Archive& archive, const RunOptions& options);

}  // namespace vlaserve
