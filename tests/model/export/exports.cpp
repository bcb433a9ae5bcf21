#include "tests/model/export/exports.h"

#include <span>
#include <utility>

#include <c10/util/Half.h>

#include "model/io/safetensors.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"

namespace vlaserve {
namespace {

constexpr size_t kReadLimit = size_t{1} << 30;

void IgnoreProgress(std::string_view) {}

std::string ToBytes(const EditableTensor& tensor) {
  REQUIRE(
      (tensor.dtype == DType::kF32 || tensor.dtype == DType::kBF16 || tensor.dtype == DType::kF16));
  std::string bytes;
  for (const float value : tensor.values) {
    if (tensor.dtype == DType::kF32) {
      bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
    } else {
      const uint16_t bits = tensor.dtype == DType::kBF16 ? FloatToBf16(value) : c10::Half(value).x;
      bytes.append(reinterpret_cast<const char*>(&bits), sizeof(bits));
    }
  }
  return bytes;
}

}  // namespace

std::vector<std::string> ModelFolders() {
  const Result<std::vector<std::string>> names = PosixFileSystem().List(GoldenDir());
  REQUIRE(names.ok());
  std::vector<std::string> folders;
  for (const std::string& name : *names) {
    if (HasGolden(name + "/cases.json") && HasGolden(name + "/model.safetensors") &&
        ReadGoldenJson(name + "/cases.json").contains("model_type")) {
      folders.push_back(name);
    }
  }
  REQUIRE(!folders.empty());
  return folders;
}

PolicyType TypeOfFolder(const std::string& folder) {
  const nlohmann::json cases = ReadGoldenJson(folder + "/cases.json");
  return cases.at("model_type") == "pi0" ? PolicyType::kPi0 : PolicyType::kPi05;
}

std::string FolderOfType(PolicyType type) {
  for (const std::string& folder : ModelFolders()) {
    if (TypeOfFolder(folder) == type) return folder;
  }
  FAIL("no golden folder of type " << PolicyTypeName(type));
  return {};
}

ExportOptions OptionsFor(const std::string& checkpoint, PolicyType type, const std::string& out) {
  Result<PolicySettings> settings =
      NamedPolicySettings(type == PolicyType::kPi0 ? "pi0_libero" : "pi05_libero");
  REQUIRE(settings.ok());
  settings->horizon.reset();
  settings->prompt_slots.reset();
  settings->action_dim.reset();
  settings->image_size.reset();
  settings->patch_size.reset();
  ExportOptions options;
  options.checkpoint = checkpoint;
  options.out = out;
  options.policy = *std::move(settings);
  options.tokenizer = GoldenPath("tokenizer/tokenizer.model");
  return options;
}

ExportSummary ExportFolder(const std::string& folder, const std::string& out, StoredDtype dtype) {
  ExportOptions options = OptionsFor(GoldenPath(folder), TypeOfFolder(folder), out);
  options.dtype = dtype;
  const Result<ExportSummary> summary = ExportPolicy(PosixFileSystem(), options, IgnoreProgress);
  INFO(summary.status().message());
  REQUIRE(summary.ok());
  return *summary;
}

std::string ExportError(const ExportOptions& options) {
  const Result<ExportSummary> summary = ExportPolicy(PosixFileSystem(), options, IgnoreProgress);
  REQUIRE(!summary.ok());
  CHECK(!PosixFileSystem().IsFile(options.out));
  return summary.status().message();
}

void CopyCheckpoint(const std::string& folder, const TempDir& directory, const TensorEdit& edit) {
  for (const char* name :
       {"/config.json", "/geometry.json", "/assets/physical-intelligence/libero/norm_stats.json"}) {
    directory.Write(std::string(name).substr(1), ReadAll(GoldenPath(folder + name)));
  }
  const SafetensorsFile source = OpenGoldenTensors(folder + "/model.safetensors");
  std::vector<SafetensorsWriter::Declaration> declarations;
  std::string data;
  for (const auto& [name, view] : source.tensors()) {
    EditableTensor tensor = {view.dtype, view.shape, view.ToFloats()};
    edit(name, tensor);
    declarations.push_back({name, tensor.dtype, tensor.shape});
    data += ToBytes(tensor);
  }
  Result<SafetensorsWriter> writer = SafetensorsWriter::Create(
      PosixFileSystem(), directory.File("model.safetensors"), declarations, source.metadata());
  REQUIRE(writer.ok());
  REQUIRE(writer->Append(std::as_bytes(std::span(data))).ok());
  REQUIRE(writer->Finish().ok());
}

std::string ReadAll(const std::string& path) {
  Result<std::string> content = PosixFileSystem().Read(path, kReadLimit);
  INFO(content.status().message());
  REQUIRE(content.ok());
  return *std::move(content);
}

}  // namespace vlaserve
