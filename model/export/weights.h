// The tensors of an archive: which dtype each is stored in, their bytes, their digests.
//
// Free of LibTorch.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/archive/archive_tables.h"
#include "model/checkpoint/checkpoint.h"
#include "model/export/export.h"
#include "model/io/file_system.h"
#include "model/io/status.h"

namespace vlaserve {

// The dtype (F32 or BF16) in which every tensor of a checkpoint goes into the archive:
//
// * kAsStored: the checkpoint's. float16 becomes float32 (exact: activations of these models leave
//   float16's range), and a stack of layers whose linears come in different dtypes becomes float32
//   as a whole (exact), since the archive's code computes a stack in one dtype. Stacks: the vision
//   encoder, the projector, the embedding, and both Gemma stacks together, which share attention.
// * kFloat32: float32.
// * kBfloat16: bfloat16, rounded to nearest even, except what openpi keeps in float32 (spec pi0.md
//   §1.6): that stays as stored.
std::map<std::string, DType> ArchiveDtypes(const Checkpoint& checkpoint, StoredDtype dtype);

// The bytes of all tensors as they will be stored. Views into the checkpoint's mapping where the
// dtype is kept, else into `converted`; valid while both are.
struct ArchiveWeights {
  std::map<std::string, TensorView> tensors;
  std::map<std::string, TensorDigest> digests;
  std::shared_ptr<const MappedFile> converted;
};

// Reads every tensor once: converts it if need be, hashes it, checks that all elements are finite.
// Converted tensors go to a nameless file in `scratch_directory`, so that memory use does not
// depend on the model's size. Errors: kUnreadable naming the first tensor and element that is not
// finite; those of the file system.
Result<ArchiveWeights> PrepareWeights(FileSystem& files, const Checkpoint& checkpoint,
                                      StoredDtype dtype, const std::string& scratch_directory,
                                      const ProgressSink& progress);

}  // namespace vlaserve
