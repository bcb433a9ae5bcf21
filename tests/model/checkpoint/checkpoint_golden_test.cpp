#include <set>

#include "model/checkpoint/checkpoint.h"
#include "model/checkpoint/geometry_json.h"
#include "tests/model/checkpoint/golden_checkpoints.h"
#include "tests/model/checkpoint/stored_tensors.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"
#include "tests/support/temp_dir.h"

namespace vlaserve {
namespace {

constexpr const char* kEmbedding =
    "paligemma_with_expert.paligemma.model.language_model.embed_tokens.weight";
constexpr const char* kLmHead = "paligemma_with_expert.paligemma.lm_head.weight";

std::string ReadText(const std::string& path) {
  Result<std::string> text = PosixFileSystem().Read(path, size_t{1} << 24);
  INFO(text.status().message());
  REQUIRE(text.ok());
  return *text;
}

Geometry GoldenGeometry(const std::string& directory) {
  const std::string path = directory + "/geometry.json";
  const Result<Geometry> geometry = ParseGeometry(ReadText(path), path);
  INFO(geometry.status().message());
  REQUIRE(geometry.ok());
  return *geometry;
}

Checkpoint Open(const std::string& directory,
                const std::optional<PolicySettings>& policy = std::nullopt) {
  Result<Checkpoint> checkpoint = OpenCheckpoint(PosixFileSystem(), directory, policy);
  INFO(checkpoint.status().message());
  REQUIRE(checkpoint.ok());
  return *std::move(checkpoint);
}

void CheckComplete(const Checkpoint& checkpoint, const Geometry& geometry) {
  CHECK(checkpoint.geometry == geometry);
  const std::vector<ExpectedTensor> expected = ExpectedTensors(geometry);
  CHECK(checkpoint.tensors.size() == expected.size());
  for (const ExpectedTensor& tensor : expected) {
    CAPTURE(tensor.name);
    const auto found = checkpoint.tensors.find(tensor.name);
    REQUIRE(found != checkpoint.tensors.end());
    CHECK(found->second.shape == tensor.shape);
  }
}

// The tensors of a checkpoint are the openpi file's, whatever their names were.
void CheckSameBytes(const Checkpoint& checkpoint, const StoredTensors& openpi) {
  for (const auto& [name, view] : checkpoint.tensors) {
    CAPTURE(name);
    const auto original = openpi.find(name == kEmbedding ? kLmHead : name);
    REQUIRE(original != openpi.end());
    CHECK(view.dtype == original->second.dtype);
    CHECK((Bytes(view) == original->second.bytes));
  }
}

// Copies the JSON files of golden folder `name` to `dir`.
void CopyJsonFiles(const std::string& name, const TempDir& dir) {
  const Result<std::vector<std::string>> entries = PosixFileSystem().List(GoldenPath(name));
  REQUIRE(entries.ok());
  for (const std::string& entry : *entries) {
    if (entry.ends_with(".json")) dir.Write(entry, ReadText(GoldenPath(name + "/" + entry)));
  }
}

// The weights of openpi folder `name` under the names of every layout; returns how many there were.
size_t CheckKeyLayouts(const std::string& name, const nlohmann::json& layouts) {
  size_t cases = 0;
  const StoredTensors openpi = ReadTensors(OpenGoldenTensors(name + "/model.safetensors"));
  const Geometry geometry = GoldenGeometry(GoldenPath(name));
  for (const char* layout : {"canonical_to_model_prefix", "canonical_to_first_lerobot_layout"}) {
    CAPTURE(layout);
    TempDir dir;
    StoredTensors stored;
    for (const auto& [canonical, stored_name] : layouts[layout].items()) {
      const auto original = openpi.find(canonical == kEmbedding ? kLmHead : canonical);
      if (original != openpi.end()) stored[stored_name.get<std::string>()] = original->second;
    }
    for (const auto& unused : layouts["first_layout_also_held"]) {
      stored[unused.get<std::string>()] = VectorTensor({1, 2, 3});
    }
    WriteTensors(dir.File("model.safetensors"), stored);
    dir.Write("geometry.json", ReadText(GoldenPath(name + "/geometry.json")));
    const Checkpoint checkpoint = Open(dir.path());
    CHECK(checkpoint.layout == CheckpointLayout::kLerobot);
    CheckComplete(checkpoint, geometry);
    CheckSameBytes(checkpoint, openpi);
    ++cases;
  }
  return cases;
}

}  // namespace

TEST_CASE("golden openpi checkpoints are read with the sizes that their geometry files state") {
  size_t cases = 0;
  for (const std::string& name : GoldenCheckpoints(false)) {
    CAPTURE(name);
    const Checkpoint checkpoint = Open(GoldenPath(name));
    CHECK(checkpoint.layout == CheckpointLayout::kOpenpi);
    CHECK(checkpoint.settings.has_value() == HasGolden(name + "/policy.json"));
    CheckComplete(checkpoint, GoldenGeometry(GoldenPath(name)));
    CheckSameBytes(checkpoint, ReadTensors(checkpoint.file));
    ++cases;
  }
  ReportGoldenCases("openpi checkpoints", cases);
}

TEST_CASE("golden openpi checkpoints give the same sizes without a geometry file") {
  size_t cases = 0;
  for (const std::string& name : GoldenCheckpoints(false)) {
    CAPTURE(name);
    const Geometry geometry = GoldenGeometry(GoldenPath(name));
    TempDir dir;
    dir.Write("config.json", ReadText(GoldenPath(name + "/config.json")));
    WriteTensors(dir.File("model.safetensors"),
                 ReadTensors(OpenGoldenTensors(name + "/model.safetensors")));
    PolicySettings policy;
    policy.name = "test";
    policy.type = geometry.type;
    policy.state_dim = 1;
    policy.output_action_dim = 1;
    policy.prompt_slots = geometry.prompt_slots;
    policy.vision_heads = geometry.vision_heads;
    const Checkpoint checkpoint = Open(dir.path(), policy);
    CheckComplete(checkpoint, geometry);
    REQUIRE(checkpoint.settings.has_value());
    CHECK(checkpoint.settings->horizon == geometry.horizon);
    ++cases;
  }
  ReportGoldenCases("openpi checkpoints without geometry.json", cases);
}

TEST_CASE("golden LeRobot checkpoints bring their settings along") {
  size_t cases = 0;
  for (const std::string& lerobot : GoldenCheckpoints(true)) {
    const std::string name = OpenpiTwin(lerobot);
    if (name.empty()) continue;
    CAPTURE(lerobot);
    // The weights of this folder equal the openpi folder's; the copy in tests/golden leaves them
    // out.
    TempDir dir;
    CopyJsonFiles(lerobot, dir);
    const StoredTensors openpi = ReadTensors(OpenGoldenTensors(name + "/model.safetensors"));
    StoredTensors stored = openpi;
    if (HasGolden(lerobot + "/model.safetensors")) {
      stored = ReadTensors(OpenGoldenTensors(lerobot + "/model.safetensors"));
    }
    WriteTensors(dir.File("model.safetensors"), stored);
    const Checkpoint checkpoint = Open(dir.path());
    CHECK(checkpoint.layout == CheckpointLayout::kLerobot);
    CheckComplete(checkpoint, GoldenGeometry(GoldenPath(lerobot)));
    CheckSameBytes(checkpoint, openpi);

    const nlohmann::json config = ReadGoldenJson(lerobot + "/config.json");
    REQUIRE(checkpoint.settings.has_value());
    const PolicySettings& settings = *checkpoint.settings;
    CHECK(settings.convention == Convention::kLerobot);
    CHECK(settings.time_steps == TimeSteps::kLerobot);
    CHECK(settings.resize == ResizeMethod::kTorchBilinearWithPad);
    const bool pi0 = config["type"] == "pi0";
    CHECK(settings.type == (pi0 ? PolicyType::kPi0 : PolicyType::kPi05));
    CHECK(settings.prompt_format == (pi0 ? PromptFormat::kLerobotPi0 : PromptFormat::kPi05State));
    CHECK(settings.horizon == config["chunk_size"].get<int64_t>());
    CHECK(settings.prompt_slots == config["tokenizer_max_length"].get<int64_t>());
    CHECK(settings.num_steps == config["num_inference_steps"].get<int64_t>());
    CHECK(settings.state_dim == config["input_features"]["observation.state"]["shape"][0]);
    CHECK(settings.output_action_dim == config["output_features"]["action"]["shape"][0]);
    CHECK(settings.normalization == (config["normalization_mapping"]["STATE"] == "MEAN_STD"
                                         ? Normalization::kZScore
                                         : Normalization::kQuantile));
    CHECK(settings.delta_action_mask.empty());
    size_t named = 0;
    for (const Camera& camera : settings.cameras) {
      if (!camera.name) continue;
      ++named;
      CHECK(config["input_features"].contains("observation.images." + *camera.name));
    }
    size_t visual = 0;
    for (const auto& feature : config["input_features"]) visual += feature["type"] == "VISUAL";
    CHECK(settings.cameras.size() == visual);
    CHECK(settings.cameras.size() == named + config["empty_cameras"].get<size_t>());
    ++cases;
  }
  ReportGoldenCases("LeRobot checkpoints", cases);
}

TEST_CASE("golden weights under the names of every LeRobot layout are the same tensors") {
  size_t cases = 0;
  for (const std::string& lerobot : GoldenCheckpoints(true)) {
    const std::string name = OpenpiTwin(lerobot);
    if (name.empty() || !HasGolden(lerobot + "/key_layouts.json")) continue;
    CAPTURE(lerobot);
    cases += CheckKeyLayouts(name, ReadGoldenJson(lerobot + "/key_layouts.json"));
  }
  ReportGoldenCases("LeRobot key layouts", cases);
}

TEST_CASE("the embedded demo policy's checkpoint is read with its own settings") {
  const std::string directory = std::string(VLASERVE_SOURCE_DIR) + "/configs/demo_policy";
  const Checkpoint checkpoint = Open(directory);
  CheckComplete(checkpoint, GoldenGeometry(directory));
  REQUIRE(checkpoint.settings.has_value());
  CHECK(checkpoint.settings->name == "demo_libero_object");
  CHECK(checkpoint.settings->horizon == checkpoint.geometry.horizon);
  CHECK(checkpoint.settings->vision_heads == checkpoint.geometry.vision_heads);
}

}  // namespace vlaserve
