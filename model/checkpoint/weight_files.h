// Finds the weights of a checkpoint directory, or says what the directory holds instead.
#pragma once

#include <string>

#include "model/io/safetensors.h"
#include "model/io/status.h"

namespace vlaserve {

// Opens model.safetensors, else the shards of model.safetensors.index.json. Errors: kNotFound
// (no such directory, no weights), kUnsupported with advice for JAX/orbax checkpoints, LoRA
// adapters and pickled weights, and those of SafetensorsFile.
Result<SafetensorsFile> OpenWeights(FileSystem& files, const std::string& directory);

}  // namespace vlaserve
