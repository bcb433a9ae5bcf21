// Exported archives loaded by LibTorch's own loader. Includes LibTorch's JIT headers.
#pragma once

#include <string>
#include <vector>

#include <torch/script.h>

#include "model/io/safetensors.h"
#include "tests/model/export/exports.h"

namespace vlaserve {

// An archive in a directory of its own, loaded.
struct TorchArchive {
  explicit TorchArchive(const std::string& folder, StoredDtype dtype = StoredDtype::kAsStored);

  // Content of an extra file.
  std::string Extra(const std::string& name) const;
  // All weights in float32, as a server computes.
  void ConvertToFloat32();

  TempDir directory;
  std::string path;
  ExportSummary summary;
  torch::jit::Module module;
};

// A copy of a golden tensor.
at::Tensor ToTorch(const TensorView& view);

// Arguments of sample_actions for case `index` of a golden folder, batch 1.
std::vector<c10::IValue> CaseArguments(const std::string& folder, const SafetensorsFile& tensors,
                                       size_t index);

}  // namespace vlaserve
