// Whether a loaded module is what the rest of a policy archive says.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <torch/csrc/jit/api/module.h>

#include "model/archive/archive_tables.h"
#include "model/checkpoint/geometry.h"
#include "model/io/status.h"

namespace vlaserve {

// The methods of FORMAT.md with their signatures, in its order, for a policy type:
// "embed_prompt(tokens: Tensor) -> Tensor".
std::vector<std::string> PolicyMethods(PolicyType type);

// kUnreadable naming a method that is missing or has another signature.
Status CheckMethods(const torch::jit::Module& module, PolicyType type, const std::string& path);

// Bytes of every tensor attribute by its path in the module tree. kUnreadable naming a tensor that
// the digests do not list or that differs in dtype or shape, that is not contiguous, or that is
// listed but not in the module.
Result<std::map<std::string, std::span<const std::byte>>> CheckStoredTensors(
    const torch::jit::Module& module, const Digests& digests, const std::string& path);

}  // namespace vlaserve
