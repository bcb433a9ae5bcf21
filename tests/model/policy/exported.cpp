#include "tests/model/policy/exported.h"

#include <utility>

#include "model/io/file_system.h"
#include "model/io/json.h"
#include "model/policy/create_policy.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"

namespace vlaserve {
namespace {

std::vector<std::string> FoldersWith(const std::string& file) {
  FileSystem& files = PosixFileSystem();
  const Result<std::vector<std::string>> names = files.List(GoldenDir());
  REQUIRE(names.ok());
  std::vector<std::string> folders;
  for (const std::string& name : *names) {
    if (files.IsFile(GoldenPath(name + "/" + file))) folders.push_back(name);
  }
  return folders;
}

std::unique_ptr<ExportedArchive> Export(ExportOptions options) {
  auto exported = std::make_unique<ExportedArchive>();
  exported->path = exported->directory.File("policy.pt");
  options.out = exported->path;
  const Result<ExportSummary> summary =
      ExportPolicy(PosixFileSystem(), options, [](std::string_view) {});
  INFO(summary.status().message());
  REQUIRE(summary.ok());
  return exported;
}

}  // namespace

std::vector<std::string> GoldenModelFolders() {
  std::vector<std::string> folders = FoldersWith("cases.safetensors");
  std::erase_if(folders, [](const std::string& folder) {
    return !ReadGoldenJson(folder + "/cases.json").contains("model_type");
  });
  return folders;
}

std::vector<std::string> GoldenLerobotFolders() { return FoldersWith("lerobot_cases.json"); }

PolicySettings SettingsFor(const std::string& folder) {
  const nlohmann::json cases = ReadGoldenJson(folder + "/cases.json");
  const std::string name =
      cases.at("model_type").get<std::string>() == "pi0" ? "pi0_libero" : "pi05_libero";
  Result<PolicySettings> settings = NamedPolicySettings(name);
  REQUIRE(settings.ok());
  return *settings;
}

std::unique_ptr<Archive> ExportedArchive::Open() const {
  Result<std::unique_ptr<Archive>> archive = Archive::Open(PosixFileSystem(), path);
  INFO(archive.status().message());
  REQUIRE(archive.ok());
  return *std::move(archive);
}

std::unique_ptr<ExportedArchive> ExportGolden(const std::string& folder,
                                              const std::optional<PolicySettings>& settings,
                                              StoredDtype dtype) {
  ExportOptions options;
  options.checkpoint = GoldenPath(folder);
  options.tokenizer = GoldenPath("tokenizer/tokenizer.model");
  options.policy = settings;
  options.dtype = dtype;
  return Export(std::move(options));
}

std::unique_ptr<ExportedArchive> ExportLerobot(const std::string& folder) {
  FileSystem& files = PosixFileSystem();
  constexpr size_t kLimit = size_t{64} << 20;
  const TempDir checkpoint;
  const Result<std::vector<std::string>> names = files.List(GoldenPath(folder));
  REQUIRE(names.ok());
  bool has_weights = false;
  for (const std::string& name : *names) {
    const std::string path = GoldenPath(folder + "/" + name);
    if (!files.IsFile(path)) continue;
    Result<std::string> content = files.Read(path, kLimit);
    REQUIRE(content.ok());
    checkpoint.Write(name, *content);
    has_weights = has_weights || name == "model.safetensors";
  }
  if (!has_weights) {
    const std::string sibling = folder.substr(0, folder.rfind("_lerobot"));
    Result<std::string> weights = files.Read(GoldenPath(sibling + "/model.safetensors"), kLimit);
    INFO(weights.status().message());
    REQUIRE(weights.ok());
    checkpoint.Write("model.safetensors", *weights);
  }
  ExportOptions options;
  options.checkpoint = checkpoint.path();
  options.tokenizer = GoldenPath("tokenizer/tokenizer.model");
  return Export(std::move(options));
}

std::unique_ptr<ExportedArchive> ExportDemo() {
  ExportOptions options;
  options.checkpoint = VLASERVE_SOURCE_DIR "/configs/demo_policy";
  return Export(std::move(options));
}

std::unique_ptr<TorchPolicy> MakePolicy(const ExportedArchive& archive,
                                        const PolicyOptions& options) {
  Result<std::unique_ptr<TorchPolicy>> policy = TorchPolicy::Create(archive.Open(), options);
  INFO(policy.status().message());
  REQUIRE(policy.ok());
  return *std::move(policy);
}

RgbImage TestPicture(uint32_t height, uint32_t width, uint32_t seed) {
  RgbImage image;
  image.height = height;
  image.width = width;
  uint32_t state = seed * 2654435761U + 1U;
  for (size_t i = 0; i < size_t{3} * height * width; ++i) {
    state = state * 1664525U + 1013904223U;
    image.pixels.push_back(static_cast<uint8_t>(state >> 24U));
  }
  return image;
}

Observation TestObservation(const PolicySettings& settings) {
  Observation observation;
  uint32_t seed = 1;
  for (const Camera& camera : settings.cameras) {
    if (camera.name) observation.images[*camera.name] = TestPicture(64, 80, seed++);
  }
  observation.state.resize(static_cast<size_t>(settings.state_dim));
  observation.prompt = "pick up the bowl";
  return observation;
}

}  // namespace vlaserve
