#include "model/export/weights.h"

#include <cstring>
#include <limits>

#include "model/io/hash.h"
#include "tests/model/export/exports.h"
#include "tests/support/catch.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/golden.h"

namespace vlaserve {
namespace {

constexpr char kQuery[] =
    "paligemma_with_expert.paligemma.model.language_model.layers.0.self_attn.q_proj.weight";
constexpr char kExpertGate[] =
    "paligemma_with_expert.gemma_expert.model.layers.0.mlp.gate_proj.weight";
constexpr char kExpertNorm[] =
    "paligemma_with_expert.gemma_expert.model.layers.0.input_layernorm.weight";
constexpr char kVisionNorm[] =
    "paligemma_with_expert.paligemma.model.vision_tower.vision_model.encoder.layers.0.layer_norm1."
    "weight";
constexpr char kVisionFc1[] =
    "paligemma_with_expert.paligemma.model.vision_tower.vision_model.encoder.layers.0.mlp.fc1."
    "weight";
constexpr char kPatch[] =
    "paligemma_with_expert.paligemma.model.vision_tower.vision_model.embeddings.patch_embedding."
    "weight";

void IgnoreProgress(std::string_view) {}

Checkpoint Open(const std::string& directory, PolicyType type) {
  const ExportOptions options = OptionsFor(directory, type, "");
  Result<Checkpoint> checkpoint = OpenCheckpoint(PosixFileSystem(), directory, options.policy);
  INFO(checkpoint.status().message());
  REQUIRE(checkpoint.ok());
  return *std::move(checkpoint);
}

// The π0 checkpoint of the golden folder with every tensor in `dtype`.
Checkpoint OpenAs(const TempDir& directory, DType dtype) {
  CopyCheckpoint(FolderOfType(PolicyType::kPi0), directory,
                 [dtype](const std::string&, EditableTensor& tensor) { tensor.dtype = dtype; });
  return Open(directory.path(), PolicyType::kPi0);
}

TEST_CASE("weights: as_stored keeps float32 and bfloat16, and widens float16") {
  for (const DType stored : {DType::kF32, DType::kBF16, DType::kF16}) {
    const TempDir directory;
    const Checkpoint checkpoint = OpenAs(directory, stored);
    const DType expected = stored == DType::kF16 ? DType::kF32 : stored;
    for (const auto& [name, dtype] : ArchiveDtypes(checkpoint, StoredDtype::kAsStored)) {
      INFO(name);
      CHECK(dtype == expected);
    }
  }
}

TEST_CASE("weights: bfloat16 leaves what openpi keeps in float32 as stored") {
  const TempDir directory;
  const Checkpoint checkpoint = OpenAs(directory, DType::kF32);
  const std::map<std::string, DType> dtypes = ArchiveDtypes(checkpoint, StoredDtype::kBfloat16);
  for (const char* name : {kQuery, kExpertGate, kVisionNorm, kVisionFc1}) {
    INFO(name);
    CHECK(dtypes.at(name) == DType::kBF16);
  }
  for (const char* name : {kExpertNorm, kPatch, "action_in_proj.weight", "state_proj.bias",
                           "paligemma_with_expert.paligemma.model.language_model.norm.weight",
                           "paligemma_with_expert.gemma_expert.model.norm.weight"}) {
    INFO(name);
    CHECK(dtypes.at(name) == DType::kF32);
  }
}

TEST_CASE("weights: a stack with mixed dtypes becomes float32 as a whole") {
  const TempDir directory;
  CopyCheckpoint(FolderOfType(PolicyType::kPi0), directory,
                 [](const std::string& name, EditableTensor& tensor) {
                   tensor.dtype = name == kQuery ? DType::kF32 : DType::kBF16;
                 });
  const Checkpoint checkpoint = Open(directory.path(), PolicyType::kPi0);
  const std::map<std::string, DType> dtypes = ArchiveDtypes(checkpoint, StoredDtype::kAsStored);
  CHECK(dtypes.at(kExpertGate) == DType::kF32);  // shares attention with the LLM
  CHECK(dtypes.at(kVisionFc1) == DType::kBF16);
  CHECK(dtypes.at(kExpertNorm) == DType::kBF16);
}

TEST_CASE("weights: bytes and digests are those of the converted values") {
  const TempDir directory;
  const Checkpoint checkpoint = OpenAs(directory, DType::kF16);
  const Result<ArchiveWeights> weights = PrepareWeights(
      PosixFileSystem(), checkpoint, StoredDtype::kAsStored, directory.path(), IgnoreProgress);
  REQUIRE(weights.ok());
  CHECK(weights->tensors.size() == checkpoint.tensors.size());
  for (const auto& [name, view] : weights->tensors) {
    INFO(name);
    CHECK(view.dtype == DType::kF32);
    CHECK(view.ToFloats() == checkpoint.tensors.at(name).ToFloats());
    const TensorDigest& digest = weights->digests.at(name);
    CHECK(digest.sha256 == Sha256Hex(view.bytes));
    CHECK(digest.crc32c == Crc32c(view.bytes));
    CHECK(digest.bytes == view.bytes.size());
    CHECK(digest.shape == view.shape);
  }
}

TEST_CASE("weights: nothing is copied where the dtype is kept") {
  const TempDir directory;
  const Checkpoint checkpoint = OpenAs(directory, DType::kBF16);
  const Result<ArchiveWeights> weights = PrepareWeights(
      PosixFileSystem(), checkpoint, StoredDtype::kAsStored, directory.path(), IgnoreProgress);
  REQUIRE(weights.ok());
  CHECK(weights->converted == nullptr);
  for (const auto& [name, view] : weights->tensors) {
    CHECK(view.bytes.data() == checkpoint.tensors.at(name).bytes.data());
  }
}

TEST_CASE("weights: an element that is not finite is named") {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
      const TempDir directory;
      CopyCheckpoint(FolderOfType(PolicyType::kPi0), directory,
                     [&](const std::string& name, EditableTensor& tensor) {
                       tensor.dtype = dtype;
                       if (name == kQuery) tensor.values.at(77) = bad;
                     });
      const std::string out = directory.File("policy.pt");
      const std::string message = ExportError(OptionsFor(directory.path(), PolicyType::kPi0, out));
      CHECK(message.find(kQuery) != std::string::npos);
      CHECK(message.find("element 77 ") != std::string::npos);
    }
  }
}

TEST_CASE("weights: a value that bfloat16 cannot hold is an error, not an infinity") {
  const TempDir directory;
  CopyCheckpoint(FolderOfType(PolicyType::kPi0), directory,
                 [](const std::string& name, EditableTensor& tensor) {
                   tensor.dtype = DType::kF32;
                   if (name == kQuery) tensor.values.at(5) = std::numeric_limits<float>::max();
                 });
  ExportOptions options =
      OptionsFor(directory.path(), PolicyType::kPi0, directory.File("policy.pt"));
  options.dtype = StoredDtype::kBfloat16;
  CHECK(ExportError(options).find("element 5 ") != std::string::npos);
}

TEST_CASE("weights: a full disk while converting is the file system's error") {
  const TempDir directory;
  const Checkpoint checkpoint = OpenAs(directory, DType::kF16);
  FaultyFileSystem files(PosixFileSystem());
  files.FailFrom(0);
  const Result<ArchiveWeights> weights =
      PrepareWeights(files, checkpoint, StoredDtype::kAsStored, directory.path(), IgnoreProgress);
  REQUIRE(!weights.ok());
  CHECK(weights.status().code() == StatusCode::kIo);
}

TEST_CASE("weights: the identity covers name, dtype, shape and bytes") {
  const std::string bytes(12, 'x');
  const TensorView view = {DType::kF32, {3}, std::as_bytes(std::span(bytes.data(), bytes.size()))};
  std::map<std::string, TensorDigest> digests = {{"a", DigestTensor(view)}};
  const std::string identity = WeightsSha256(digests);
  CHECK(identity == Sha256Hex("a F32 3 " + Sha256Hex(bytes) + "\n"));
  std::map<std::string, TensorDigest> other = digests;
  other["a"].shape = {3, 1};
  CHECK(WeightsSha256(other) != identity);
  other = digests;
  other["a"].dtype = DType::kI32;
  CHECK(WeightsSha256(other) != identity);
}

}  // namespace
}  // namespace vlaserve
