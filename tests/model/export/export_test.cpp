// What an export refuses and what it leaves behind when it fails. Free of LibTorch.
#include "model/export/export.h"

#include <filesystem>

#include "tests/model/export/exports.h"
#include "tests/support/catch.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/golden.h"

namespace vlaserve {
namespace {

void IgnoreProgress(std::string_view) {}

bool Contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

ExportOptions Pi0Options(const TempDir& directory) {
  return OptionsFor(GoldenPath(FolderOfType(PolicyType::kPi0)), PolicyType::kPi0,
                    directory.File("policy.pt"));
}

TEST_CASE("export: a missing tokenizer says where to get it") {
  const TempDir directory;
  ExportOptions options = Pi0Options(directory);
  options.tokenizer.clear();
  const std::string message = ExportError(options);
  CHECK(Contains(message, options.checkpoint + "/tokenizer.model"));
  CHECK(Contains(message, "paligemma_tokenizer.model"));
  CHECK(Contains(message, "--tokenizer"));

  options.tokenizer = directory.File("nowhere.model");
  CHECK(Contains(ExportError(options), "nowhere.model"));
}

TEST_CASE("export: the tokenizer beside the checkpoint is found") {
  const TempDir directory;
  CopyCheckpoint(FolderOfType(PolicyType::kPi0), directory,
                 [](const std::string&, EditableTensor&) {});
  const std::string tokenizer = ReadAll(GoldenPath("tokenizer/tokenizer.model"));
  ExportOptions options =
      OptionsFor(directory.path(), PolicyType::kPi0, directory.File("policy.pt"));
  options.tokenizer.clear();
  ExportError(options);
  directory.Write("assets/tokenizer.model", tokenizer);
  const Result<ExportSummary> summary = ExportPolicy(PosixFileSystem(), options, IgnoreProgress);
  INFO(summary.status().message());
  CHECK(summary.ok());
}

TEST_CASE("export: a tokenizer that is none or another model's is refused") {
  const TempDir directory;
  ExportOptions options = Pi0Options(directory);
  options.tokenizer = directory.Write("broken.model", "not a SentencePiece model");
  CHECK(Contains(ExportError(options), "broken.model"));

  // A checkpoint whose embedding has fewer rows than the tokenizer has pieces.
  CopyCheckpoint(
      FolderOfType(PolicyType::kPi0), directory,
      [](const std::string& name, EditableTensor& tensor) {
        if (!Contains(name, "lm_head") && !Contains(name, "embed_tokens")) return;
        tensor.values.resize(tensor.values.size() / static_cast<size_t>(tensor.shape[0]) * 100);
        tensor.shape[0] = 100;
      });
  nlohmann::json geometry = nlohmann::json::parse(ReadAll(directory.File("geometry.json")));
  geometry["vocab_size"] = 100;
  directory.Write("geometry.json", geometry.dump());
  options = OptionsFor(directory.path(), PolicyType::kPi0, directory.File("policy.pt"));
  CHECK(Contains(ExportError(options), "embedding only 100 rows"));
}

TEST_CASE("export: missing norm statistics are an error, never an identity") {
  const TempDir directory;
  CopyCheckpoint(FolderOfType(PolicyType::kPi0), directory,
                 [](const std::string&, EditableTensor&) {});
  ExportOptions options =
      OptionsFor(directory.path(), PolicyType::kPi0, directory.File("policy.pt"));
  options.policy->asset_id = "somebody/else";
  CHECK(Contains(ExportError(options), "norm_stats.json"));
}

TEST_CASE("export: a checkpoint that does not name its policy needs one") {
  const TempDir directory;
  ExportOptions options = Pi0Options(directory);
  options.policy.reset();
  const std::string message = ExportError(options);
  CHECK(Contains(message, "--policy"));
  CHECK(Contains(message, "pi0_libero"));
}

TEST_CASE("export: settings for the other model type are refused") {
  const TempDir directory;
  const ExportOptions options = OptionsFor(GoldenPath(FolderOfType(PolicyType::kPi0)),
                                           PolicyType::kPi05, directory.File("policy.pt"));
  const std::string message = ExportError(options);
  CHECK(Contains(message, "pi05"));
  CHECK(Contains(message, "pi0,"));
}

TEST_CASE("export: a disk that fills up leaves no archive") {
  const TempDir directory;
  const ExportOptions options = Pi0Options(directory);
  FaultyFileSystem counting(PosixFileSystem());
  REQUIRE(ExportPolicy(counting, options, IgnoreProgress).ok());
  const size_t operations = counting.operations();
  REQUIRE(operations > 10);
  std::filesystem::remove(options.out);

  for (const size_t operation :
       {size_t{0}, size_t{1}, operations / 2, operations - 2, operations - 1}) {
    INFO("operation " << operation << " of " << operations);
    FaultyFileSystem files(PosixFileSystem());
    files.FailFrom(operation);
    const Result<ExportSummary> summary = ExportPolicy(files, options, IgnoreProgress);
    REQUIRE(!summary.ok());
    CHECK(summary.status().code() == StatusCode::kIo);
    CHECK(PosixFileSystem().List(directory.path()).value().empty());
  }
}

}  // namespace
}  // namespace vlaserve
