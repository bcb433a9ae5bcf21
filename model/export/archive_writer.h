// TorchScript archives from prepared weights. This header is free of LibTorch.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/checkpoint/geometry.h"
#include "model/export/weights.h"
#include "model/io/file_system.h"
#include "model/io/safetensors.h"
#include "model/io/status.h"

namespace vlaserve {

// The exact RoPE frequencies 1 / rope_theta^(2i / head_dim), i = 0 … head_dim / 2 - 1, in float32
// as the reference computes them (transformers, modeling_rope_utils.py).
std::vector<float> RopeInvFreq(const Geometry& geometry);

// Builds the policy module over `tensors` (parameters by canonical name, and "rope_inv_freq") and
// streams it with `extra_files` to `out`: nothing is copied in memory, the bytes of `tensors` are
// only read. The same input gives the same bytes. Returns the size of the archive. Errors: those of
// BuildPolicyModule and of the file system.
Result<int64_t> WritePolicyArchive(FileSystem& files, const Geometry& geometry,
                                   const std::map<std::string, TensorView>& tensors,
                                   const std::map<std::string, std::string>& extra_files,
                                   const std::string& out);

}  // namespace vlaserve
