// WantedDtype (model/policy/load.h) in LibTorch's terms. Includes LibTorch.
#pragma once

#include <string_view>

#include <c10/core/ScalarType.h>

#include "model/policy/load.h"

namespace vlaserve {

// The dtype in which LoadWeights leaves the parameter `name`, stored as `stored`.
inline at::ScalarType WantedScalarType(std::string_view name, at::ScalarType stored,
                                       const RunOptions& options) {
  DType dtype = DType::kF32;
  switch (stored) {
    case at::kFloat:
      break;
    case at::kBFloat16:
      dtype = DType::kBF16;
      break;
    case at::kHalf:
      dtype = DType::kF16;
      break;
    case at::kDouble:
      dtype = DType::kF64;
      break;
    default:
      return stored;
  }
  const DType wanted = WantedDtype(name, dtype, options);
  if (wanted == dtype) return stored;
  return wanted == DType::kBF16 ? at::kBFloat16 : at::kFloat;
}

}  // namespace vlaserve
