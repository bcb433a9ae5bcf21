#include "model/export/weights.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "model/checkpoint/tensor_names.h"
#include "model/io/hash.h"

namespace vlaserve {
namespace {

constexpr size_t kChunkElements = size_t{1} << 18;

// What is computed in one dtype with this parameter; never called for those kept in float32.
std::string_view StackOf(std::string_view name) {
  constexpr std::string_view kParts[] = {".vision_tower.", ".multi_modal_projector.",
                                         ".embed_tokens."};
  for (std::string_view part : kParts) {
    if (name.find(part) != std::string_view::npos) return part;
  }
  return "gemma";
}

// Index of the first element that is NaN or infinite; `size` if there is none.
template <typename Bits>
size_t FirstNonFinite(std::span<const std::byte> bytes, Bits exponent_mask) {
  const size_t size = bytes.size() / sizeof(Bits);
  const auto non_finite = [&](size_t i) {
    Bits bits;
    std::memcpy(&bits, bytes.data() + i * sizeof(Bits), sizeof(Bits));
    return (bits & exponent_mask) == exponent_mask;
  };
  // Counting without a branch lets the compiler vectorise the case that matters.
  size_t count = 0;
  for (size_t i = 0; i < size; ++i) count += non_finite(i) ? 1 : 0;
  if (count == 0) return size;
  size_t i = 0;
  while (!non_finite(i)) ++i;
  return i;
}

size_t FirstNonFinite(DType dtype, std::span<const std::byte> bytes) {
  return dtype == DType::kBF16 ? FirstNonFinite<uint16_t>(bytes, 0x7f80)
                               : FirstNonFinite<uint32_t>(bytes, 0x7f800000);
}

float LoadAsFloat(DType dtype, const std::byte* at) {
  if (dtype == DType::kF32) {
    float value;
    std::memcpy(&value, at, sizeof(value));
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, at, sizeof(bits));
  return dtype == DType::kBF16 ? Bf16ToFloat(bits) : F16ToFloat(bits);
}

void Convert(DType from, std::span<const std::byte> source, DType to,
             std::vector<std::byte>& target) {
  const size_t count = source.size() / DTypeSize(from);
  target.resize(count * DTypeSize(to));
  for (size_t i = 0; i < count; ++i) {
    const float value = LoadAsFloat(from, source.data() + i * DTypeSize(from));
    if (to == DType::kF32) {
      std::memcpy(target.data() + i * sizeof(value), &value, sizeof(value));
    } else {
      const uint16_t bits = FloatToBf16(value);
      std::memcpy(target.data() + i * sizeof(bits), &bits, sizeof(bits));
    }
  }
}

// Converted tensors, on disk; the file is created when the first one comes.
class ConvertedTensors {
 public:
  ConvertedTensors(FileSystem& files, std::string directory)
      : files_(files), directory_(std::move(directory)) {}

  Status Append(std::span<const std::byte> bytes) {
    if (!file_) {
      VLASERVE_ASSIGN_OR_RETURN(file_, files_.CreateScratch(directory_));
    }
    size_ += bytes.size();
    return file_->Append(bytes);
  }
  size_t size() const { return size_; }

  // Everything appended; null if nothing was.
  Result<std::shared_ptr<const MappedFile>> Map() {
    if (!file_) return std::shared_ptr<const MappedFile>();
    return file_->Map();
  }

 private:
  FileSystem& files_;
  std::string directory_;
  std::unique_ptr<ScratchFile> file_;
  size_t size_ = 0;
};

// Hashes one tensor in its archive dtype, and appends it to `converted` if that is not the stored
// one.
Result<TensorDigest> Digest(const std::string& name, const TensorView& source, DType dtype,
                            ConvertedTensors& converted) {
  TensorDigest digest;
  digest.dtype = dtype;
  digest.shape = source.shape;
  Sha256 sha256;
  std::vector<std::byte> buffer;
  const size_t step = kChunkElements * DTypeSize(source.dtype);
  for (size_t at = 0; at < source.bytes.size(); at += step) {
    std::span<const std::byte> chunk =
        source.bytes.subspan(at, std::min(step, source.bytes.size() - at));
    if (dtype != source.dtype) {
      Convert(source.dtype, chunk, dtype, buffer);
      chunk = buffer;
      VLASERVE_RETURN_IF_ERROR(converted.Append(chunk));
    }
    const size_t bad = FirstNonFinite(dtype, chunk);
    if (bad < chunk.size() / DTypeSize(dtype)) {
      return Status(StatusCode::kUnreadable,
                    "tensor " + name + ": element " +
                        std::to_string(at / DTypeSize(source.dtype) + bad) + " of shape " +
                        ShapeToString(source.shape) + " is NaN or infinite as " +
                        std::string(DTypeName(dtype)) + "; weights must be finite");
    }
    sha256.Update(chunk);
    digest.crc32c = Crc32c(chunk, digest.crc32c);
    digest.bytes += chunk.size();
  }
  digest.sha256 = sha256.HexDigest();
  return digest;
}

}  // namespace

std::map<std::string, DType> ArchiveDtypes(const Checkpoint& checkpoint, StoredDtype dtype) {
  const auto as_stored = [](DType stored) {
    return stored == DType::kBF16 ? DType::kBF16 : DType::kF32;
  };
  std::map<std::string_view, DType> stacks;
  for (const auto& [name, tensor] : checkpoint.tensors) {
    if (IsFloat32Island(name)) continue;
    const DType stored = as_stored(tensor.dtype);
    const auto [stack, is_first] = stacks.try_emplace(StackOf(name), stored);
    if (stack->second != stored) stack->second = DType::kF32;
  }

  std::map<std::string, DType> dtypes;
  for (const auto& [name, tensor] : checkpoint.tensors) {
    if (dtype == StoredDtype::kFloat32) {
      dtypes[name] = DType::kF32;
    } else if (IsFloat32Island(name)) {
      dtypes[name] = as_stored(tensor.dtype);
    } else {
      dtypes[name] = dtype == StoredDtype::kBfloat16 ? DType::kBF16 : stacks.at(StackOf(name));
    }
  }
  return dtypes;
}

Result<ArchiveWeights> PrepareWeights(FileSystem& files, const Checkpoint& checkpoint,
                                      StoredDtype dtype, const std::string& scratch_directory,
                                      const ProgressSink& progress) {
  ArchiveWeights weights;
  ConvertedTensors converted(files, scratch_directory);
  std::map<std::string, size_t> offsets;  // of converted tensors
  const std::map<std::string, DType> dtypes = ArchiveDtypes(checkpoint, dtype);
  uint64_t total = 0;
  for (const auto& [name, tensor] : checkpoint.tensors) total += tensor.bytes.size();

  uint64_t done = 0;
  uint64_t reported = 0;
  for (const auto& [name, tensor] : checkpoint.tensors) {
    if (tensor.dtype != DType::kF32 && tensor.dtype != DType::kBF16 &&
        tensor.dtype != DType::kF16) {
      return Status(StatusCode::kUnsupported, "tensor " + name + " is " +
                                                  std::string(DTypeName(tensor.dtype)) +
                                                  "; expected F32, BF16 or F16");
    }
    const DType target = dtypes.at(name);
    if (target != tensor.dtype) offsets[name] = converted.size();
    VLASERVE_ASSIGN_OR_RETURN(weights.digests[name], Digest(name, tensor, target, converted));
    weights.tensors[name] = {target, tensor.shape, tensor.bytes};
    checkpoint.file.Release(tensor);

    done += tensor.bytes.size();
    if (done - reported >= uint64_t{1} << 30) {
      reported = done;
      progress("checked " + std::to_string(done >> 20) + " of " + std::to_string(total >> 20) +
               " MiB of weights");
    }
  }

  VLASERVE_ASSIGN_OR_RETURN(weights.converted, converted.Map());
  for (const auto& [name, offset] : offsets) {
    weights.tensors[name].bytes =
        weights.converted->bytes().subspan(offset, weights.digests[name].bytes);
  }
  return weights;
}

}  // namespace vlaserve
