#include "model/checkpoint/synth.h"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "model/checkpoint/checkpoint.h"
#include "model/checkpoint/norm_stats.h"
#include "model/io/json.h"
#include "tests/model/checkpoint/full_size_geometry.h"
#include "tests/support/catch.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_dir.h"

namespace vlaserve {
namespace {

constexpr size_t kManyBytes = size_t{1} << 30;

Status Synthesize(FileSystem& files, PolicyType type, uint64_t seed, const std::string& out) {
  SynthOptions options;
  options.type = type;
  options.seed = seed;
  options.out = out;
  return SynthesizeCheckpoint(files, options, [](std::string_view) {});
}

// Content of all files below a directory, by relative path.
std::map<std::string, std::string> Contents(const std::string& directory) {
  std::map<std::string, std::string> contents;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (!entry.is_regular_file()) continue;
    const std::string path = entry.path().string();
    contents[path.substr(directory.size() + 1)] = *PosixFileSystem().Read(path, kManyBytes);
  }
  return contents;
}

TEST_CASE("synth: full sizes are those of the released models") {
  for (const PolicyType type : {PolicyType::kPi0, PolicyType::kPi05}) {
    const Geometry geometry = SynthGeometry(type, SynthSize::kFull);
    CHECK(geometry == FullSizeGeometry(type));
    const std::vector<ExpectedTensor> tensors = SynthTensors(geometry);
    int64_t elements = 0;
    for (const ExpectedTensor& tensor : tensors) {
      int64_t numel = 1;
      for (const int64_t dimension : tensor.shape) numel *= dimension;
      elements += numel;
    }
    // Numbers of the released files.
    CHECK(tensors.size() == (type == PolicyType::kPi0 ? 777 : 812));
    CHECK(elements == (type == PolicyType::kPi0 ? 3501372176 : 3616757520));
  }
}

TEST_CASE("synth: writes a checkpoint that opens with the sizes it was made with") {
  for (const PolicyType type : {PolicyType::kPi0, PolicyType::kPi05}) {
    const TempDir dir;
    const std::string out = dir.File("new/checkpoint");
    REQUIRE(Synthesize(PosixFileSystem(), type, 3, out).ok());
    const auto checkpoint = OpenCheckpoint(PosixFileSystem(), out, std::nullopt);
    INFO(checkpoint.status().message());
    REQUIRE(checkpoint.ok());
    CHECK(checkpoint->layout == CheckpointLayout::kOpenpi);
    CHECK(checkpoint->geometry == SynthGeometry(type, SynthSize::kTiny));
    REQUIRE(checkpoint->settings.has_value());
    CHECK(checkpoint->settings->type == type);
    const auto stats = LoadNormStats(PosixFileSystem(), out, "", *checkpoint->settings);
    INFO(stats.status().message());
    CHECK(stats.ok());
    CHECK_FALSE(PosixFileSystem().Read(JoinPath(out, "tokenizer.model"), kManyBytes)->empty());
  }
}

TEST_CASE("synth: the file has openpi's names, alias and types") {
  for (const PolicyType type : {PolicyType::kPi0, PolicyType::kPi05}) {
    const TempDir dir;
    REQUIRE(Synthesize(PosixFileSystem(), type, 3, dir.path()).ok());
    const auto file = SafetensorsFile::Open(PosixFileSystem(), dir.File("model.safetensors"));
    REQUIRE(file.ok());
    const std::vector<ExpectedTensor> expected =
        SynthTensors(SynthGeometry(type, SynthSize::kTiny));
    REQUIRE(file->tensors().size() == expected.size());
    for (const ExpectedTensor& tensor : expected) {
      INFO(tensor.name);
      REQUIRE(file->Find(tensor.name) != nullptr);
      CHECK(file->Find(tensor.name)->shape == tensor.shape);
      CHECK(file->Find(tensor.name)->dtype ==
            (type == PolicyType::kPi0 ? DType::kF32 : DType::kBF16));
    }
    const std::string embedding =
        "paligemma_with_expert.paligemma.model.language_model.embed_tokens.weight";
    const std::string stored = "paligemma_with_expert.paligemma.lm_head.weight";
    CHECK(file->Find(embedding) == nullptr);
    CHECK(file->Find(stored) != nullptr);
    CHECK(file->metadata().at(embedding) == stored);
    CHECK(file->Find("paligemma_with_expert.gemma_expert.lm_head.weight") != nullptr);

    const auto config = ReadJsonFile(PosixFileSystem(), dir.File("config.json"));
    REQUIRE(config.ok());
    CHECK(config->size() == 5);
    CHECK((*config)["precision"] == (type == PolicyType::kPi0 ? "float32" : "bfloat16"));
  }
}

TEST_CASE("synth: bytes follow from the seed") {
  const TempDir dir;
  FileSystem& files = PosixFileSystem();
  REQUIRE(Synthesize(files, PolicyType::kPi0, 3, dir.File("a")).ok());
  REQUIRE(Synthesize(files, PolicyType::kPi0, 3, dir.File("b")).ok());
  REQUIRE(Synthesize(files, PolicyType::kPi0, 4, dir.File("c")).ok());
  const auto a = Contents(dir.File("a"));
  CHECK(a.size() == 6);
  CHECK(a == Contents(dir.File("b")));
  CHECK(a.at("model.safetensors") != Contents(dir.File("c")).at("model.safetensors"));
}

TEST_CASE("synth: replaces its own earlier result and nothing else") {
  const TempDir dir;
  FileSystem& files = PosixFileSystem();
  REQUIRE(Synthesize(files, PolicyType::kPi0, 3, dir.File("own")).ok());
  REQUIRE(Synthesize(files, PolicyType::kPi05, 4, dir.File("own")).ok());
  REQUIRE(Synthesize(files, PolicyType::kPi05, 4, dir.File("fresh")).ok());
  CHECK(Contents(dir.File("own")) == Contents(dir.File("fresh")));

  dir.Write("notes/readme.txt", "mine");
  auto writer = SafetensorsWriter::Create(files, dir.Write("real/model.safetensors", ""), {}, {});
  REQUIRE(writer.ok());
  REQUIRE(writer->Finish().ok());
  dir.Write("damaged/model.safetensors", "x");
  for (const char* name : {"notes", "real", "damaged"}) {
    const auto before = Contents(dir.File(name));
    const Status status = Synthesize(files, PolicyType::kPi0, 3, dir.File(name));
    CHECK(status.code() == StatusCode::kFailedPrecondition);
    CHECK_THAT(status.message(), ContainsText(dir.File(name)) && ContainsText("not empty"));
    CHECK(Contents(dir.File(name)) == before);
  }
}

TEST_CASE("synth: a fault at any point is reported and leaves only whole files") {
  const TempDir dir;
  FaultyFileSystem healthy(PosixFileSystem());
  REQUIRE(Synthesize(healthy, PolicyType::kPi0, 3, dir.File("whole")).ok());
  const auto whole = Contents(dir.File("whole"));
  const std::string out = dir.File("out");
  // Every operation but the many appends in the middle of the weights.
  for (size_t fault = 0; fault < healthy.operations(); ++fault) {
    if (fault > 5 && fault + 20 < healthy.operations()) continue;
    FaultyFileSystem files(PosixFileSystem());
    files.FailFrom(fault);
    INFO(fault);
    const Status status = Synthesize(files, PolicyType::kPi0, 3, out);
    CHECK(status.code() == StatusCode::kIo);
    CHECK_THAT(status.message(), ContainsText(out));
    if (!PosixFileSystem().IsDirectory(out)) continue;
    for (const auto& [name, content] : Contents(out)) {
      REQUIRE(whole.contains(name));
      CHECK(content == whole.at(name));
    }
  }
  // What an interrupted run left can be completed.
  REQUIRE(Synthesize(PosixFileSystem(), PolicyType::kPi0, 3, out).ok());
  CHECK(Contents(out) == whole);
}

TEST_CASE("synth: an output that is a file is an error") {
  const TempDir dir;
  const std::string path = dir.Write("file", "mine");
  const Status status = Synthesize(PosixFileSystem(), PolicyType::kPi0, 3, path);
  CHECK_FALSE(status.ok());
  CHECK_THAT(status.message(), ContainsText(path));
  CHECK(*PosixFileSystem().Read(path, 100) == "mine");
}

TEST_CASE("synth: progress names the file and ends at all of it") {
  const TempDir dir;
  SynthOptions options;
  options.out = dir.path();
  std::vector<std::string> lines;
  REQUIRE(SynthesizeCheckpoint(PosixFileSystem(), options, [&](std::string_view line) {
            lines.emplace_back(line);
          }).ok());
  REQUIRE(lines.size() >= 3);
  CHECK_THAT(lines.front(), ContainsText(dir.File("model.safetensors")));
  CHECK(lines[lines.size() - 2] == "model.safetensors: 100 %");
}

}  // namespace
}  // namespace vlaserve
