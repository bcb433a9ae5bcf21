// Checkpoints and archives for the tests of model/export. Free of LibTorch.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "model/export/export.h"
#include "model/io/dtype.h"
#include "tests/support/temp_dir.h"

namespace vlaserve {

// Folders of the golden directory that hold an openpi checkpoint and model-level cases; at least
// one.
std::vector<std::string> ModelFolders();
// The first of them whose model is of this type.
std::string FolderOfType(PolicyType type);

// Options that export the checkpoint directory `checkpoint` of the given type with the golden
// tokenizer and a LIBERO policy that leaves the sizes to the checkpoint.
ExportOptions OptionsFor(const std::string& checkpoint, PolicyType type, const std::string& out);
PolicyType TypeOfFolder(const std::string& folder);

// Exports a golden folder to `out`; fails the running test if it cannot.
ExportSummary ExportFolder(const std::string& folder, const std::string& out,
                           StoredDtype dtype = StoredDtype::kAsStored);

// The message of a failing export; fails the running test if it works or leaves anything at `out`.
std::string ExportError(const ExportOptions& options);

// One tensor of a checkpoint that a test changes.
struct EditableTensor {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::vector<float> values;
};
using TensorEdit = std::function<void(const std::string& name, EditableTensor& tensor)>;

// A copy of a golden folder's checkpoint in `directory`, every tensor passed through `edit`; values
// are rounded to the dtype that it leaves.
void CopyCheckpoint(const std::string& folder, const TempDir& directory, const TensorEdit& edit);

// The whole file; fails the running test if it cannot be read.
std::string ReadAll(const std::string& path);

}  // namespace vlaserve
