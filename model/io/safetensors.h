// safetensors files: a JSON header that names tensors, then their bytes.
// Format: https://github.com/huggingface/safetensors (README "Format").
//
// The reader maps the file and accepts only what is plainly valid: header of at most 100 MB that is
// an object without duplicate names, known dtypes, shapes whose byte sizes do not overflow and
// equal the offsets, offsets that cover the data section without holes or overlaps, file size to
// match.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/io/dtype.h"
#include "model/io/file_system.h"
#include "model/io/status.h"

namespace vlaserve {

// One stored tensor: little-endian bytes in C order inside a mapped file, not necessarily aligned.
// Valid while the file it came from is.
struct TensorView {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;

  int64_t numel() const;
  // The elements converted to float / double / int64 (copies; any numeric dtype, BOOL as 0 or 1).
  // ToInts truncates floating-point elements toward zero; NaN gives 0, what is out of range the
  // nearest int64.
  std::vector<float> ToFloats() const;
  std::vector<double> ToDoubles() const;
  std::vector<int64_t> ToInts() const;
};

// "[2, 3]"
std::string ShapeToString(std::span<const int64_t> shape);

// One file or a sharded checkpoint. Immutable after Open; any thread may read.
class SafetensorsFile {
 public:
  // Opens one .safetensors file. Errors (kUnreadable) name file, tensor and byte.
  static Result<SafetensorsFile> Open(FileSystem& files, const std::string& path);
  // Opens all shards that `index_path` (model.safetensors.index.json) lists, which must agree with
  // the index on which shard holds which tensor.
  static Result<SafetensorsFile> OpenSharded(FileSystem& files, const std::string& index_path);

  const std::map<std::string, TensorView>& tensors() const { return tensors_; }
  // Null if there is no such tensor.
  const TensorView* Find(std::string_view name) const;
  // `__metadata__` of the file (of all shards, first one wins).
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::string& path() const { return path_; }
  // Tells the kernel that a tensor's pages are not needed any more; best effort.
  void Release(const TensorView& tensor) const;

 private:
  std::string path_;
  std::vector<std::shared_ptr<const MappedFile>> shards_;
  std::map<std::string, TensorView> tensors_;
  std::map<std::string, std::string> metadata_;
};

// Writes a file tensor by tensor with constant memory: declare everything, then append the bytes in
// the order of declaration. Not thread-safe.
class SafetensorsWriter {
 public:
  struct Declaration {
    std::string name;
    DType dtype = DType::kF32;
    std::vector<int64_t> shape;
  };

  static Result<SafetensorsWriter> Create(FileSystem& files, const std::string& path,
                                          std::vector<Declaration> declarations,
                                          const std::map<std::string, std::string>& metadata);
  // Next bytes of the data section, in any portions.
  Status Append(std::span<const std::byte> bytes);
  // kInternal if bytes are missing or too many; else makes the file visible.
  Status Finish();

 private:
  SafetensorsWriter() = default;
  std::string path_;
  std::unique_ptr<WritableFile> file_;
  uint64_t expected_ = 0;
  uint64_t written_ = 0;
};

}  // namespace vlaserve
