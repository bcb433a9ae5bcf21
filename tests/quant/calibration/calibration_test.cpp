// The calibration file (CALIBRATION_FORMAT.md).
#include "quant/calibration/calibration.h"

#include <functional>
#include <limits>

#include <nlohmann/json.hpp>

#include "model/io/hash.h"
#include "model/io/safetensors.h"
#include "tests/support/catch.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_dir.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)

namespace {

constexpr const char* kKey = "vlaserve.calibration";

LayerCalibration TestLayer(float scale) {
  LayerCalibration layer;
  layer.columns = 3;
  layer.tokens = 40;
  layer.abs_max = {scale, 2 * scale, 0.1F};
  layer.samples = {{scale, 0, -0.1F, 1, 2, 3}, {}, {0.5F, -0.25F, 4}};
  return layer;
}

Calibration TestCalibration() {
  Calibration calibration;
  calibration.archive_sha256 = Sha256Hex("weights");
  calibration.num_steps = 3;
  calibration.observations = 2;
  calibration.seed = 42;
  calibration.layers["a.q_proj"] = TestLayer(1);
  calibration.layers["a.k_proj"] = TestLayer(1);
  calibration.layers["a.o_proj"] = TestLayer(7);
  return calibration;
}

void Write(const std::string& path, const Calibration& calibration) {
  const Status status = WriteCalibration(PosixFileSystem(), path, calibration);
  INFO(status.message());
  REQUIRE(status.ok());
}

CalibrationFile Open(const std::string& path) {
  auto file = CalibrationFile::Open(PosixFileSystem(), path);
  INFO(file.status().message());
  REQUIRE(file.ok());
  return *std::move(file);
}

bool Same(const LayerCalibration& a, const LayerCalibration& b) {
  return a.columns == b.columns && a.tokens == b.tokens && a.abs_max == b.abs_max &&
         a.samples == b.samples;
}

// A copy of a calibration file with another header, the same tensors.
void Rewrite(const std::string& path, const std::string& out,
             const std::function<void(nlohmann::json&)>& change) {
  const auto file = SafetensorsFile::Open(PosixFileSystem(), path);
  REQUIRE(file.ok());
  nlohmann::json header = nlohmann::json::parse(file->metadata().at(kKey));
  change(header);
  std::vector<SafetensorsWriter::Declaration> declarations;
  for (const auto& [name, view] : file->tensors()) {
    declarations.push_back({name, view.dtype, view.shape});
  }
  auto writer =
      SafetensorsWriter::Create(PosixFileSystem(), out, declarations, {{kKey, header.dump()}});
  REQUIRE(writer.ok());
  for (const auto& [name, view] : file->tensors()) REQUIRE(writer->Append(view.bytes).ok());
  REQUIRE(writer->Finish().ok());
}

}  // namespace

TEST_CASE("what was recorded is read back bit by bit") {
  const TempDir directory;
  const std::string path = directory.File("c.safetensors");
  const Calibration calibration = TestCalibration();
  Write(path, calibration);
  const CalibrationFile file = Open(path);
  CHECK(file.archive_sha256() == calibration.archive_sha256);
  CHECK(file.num_steps() == 3);
  CHECK(file.observations() == 2);
  CHECK(file.seed() == 42);
  CHECK(file.LayerNames() == std::vector<std::string>{"a.k_proj", "a.o_proj", "a.q_proj"});
  for (const auto& [name, layer] : calibration.layers) {
    INFO(name);
    const auto read = file.Layer(name, 3);
    REQUIRE(read.ok());
    CHECK(Same(*read, layer));
  }
}

TEST_CASE("layers with the same input are stored once, and bfloat16 values in two bytes") {
  const TempDir directory;
  const std::string path = directory.File("c.safetensors");
  Write(path, TestCalibration());
  const auto tensors = SafetensorsFile::Open(PosixFileSystem(), path);
  REQUIRE(tensors.ok());
  CHECK(tensors->tensors().size() == 2 * 4);  // two inputs: abs_max and three steps each
  CHECK(tensors->Find("input.0.samples.0")->dtype == DType::kF32);  // holds 0.1
  CHECK(tensors->Find("input.0.samples.2")->dtype == DType::kBF16);
  CHECK(tensors->Find("input.0.samples.1")->shape == std::vector<int64_t>{0, 3});
}

TEST_CASE("the digest covers every number and every size") {
  const std::string reference = LayerCalibrationSha256(TestLayer(1));
  CHECK(reference == LayerCalibrationSha256(TestLayer(1)));
  std::vector<LayerCalibration> others(5, TestLayer(1));
  others[0].abs_max[2] = 0.2F;
  others[1].samples[2][1] = 0;
  others[2].tokens = 41;
  others[3].samples = {{1, 0, -0.1F}, {1, 2, 3}, {0.5F, -0.25F, 4}};  // the same values, other rows
  others[4].samples.emplace_back();
  for (const LayerCalibration& other : others) CHECK(LayerCalibrationSha256(other) != reference);
}

TEST_CASE("a recording of other weights, a missing layer and another width are refused") {
  const TempDir directory;
  const std::string path = directory.File("c.safetensors");
  Write(path, TestCalibration());
  const CalibrationFile file = Open(path);
  CHECK(file.CheckArchive(Sha256Hex("weights")).ok());
  const Status other = file.CheckArchive(Sha256Hex("others"));
  CHECK(other.code() == StatusCode::kInvalidArgument);
  CHECK_THAT(other.message(), ContainsText(path));
  CHECK_THAT(other.message(), ContainsText(Sha256Hex("others")));
  const Status missing = file.Layer("a.v_proj", 3).status();
  CHECK(missing.code() == StatusCode::kInvalidArgument);
  CHECK_THAT(missing.message(), ContainsText("a.v_proj"));
  const Status width = file.Layer("a.q_proj", 4).status();
  CHECK(width.code() == StatusCode::kInvalidArgument);
  CHECK_THAT(width.message(), ContainsText("a.q_proj was recorded with 3 input features"));
}

TEST_CASE("what is not finite or contradicts itself is never written") {
  const TempDir directory;
  const std::string path = directory.File("c.safetensors");
  std::vector<LayerCalibration> bad(4, TestLayer(1));
  bad[0].abs_max[0] = std::numeric_limits<float>::infinity();
  bad[1].samples[2][0] = std::numeric_limits<float>::quiet_NaN();
  bad[2].abs_max.pop_back();
  bad[3].samples[0].pop_back();
  for (const LayerCalibration& layer : bad) {
    Calibration calibration = TestCalibration();
    calibration.layers["bad.layer"] = layer;
    const Status status = WriteCalibration(PosixFileSystem(), path, calibration);
    CHECK(status.code() == StatusCode::kInvalidArgument);
    CHECK_THAT(status.message(), ContainsText("bad.layer"));
    CHECK(!PosixFileSystem().IsFile(path));
  }
}

TEST_CASE("files that are no calibration are refused with a reason") {
  const TempDir directory;
  CHECK(CalibrationFile::Open(PosixFileSystem(), directory.File("none")).status().code() ==
        StatusCode::kNotFound);
  const std::string other = directory.File("other.safetensors");
  auto writer = SafetensorsWriter::Create(PosixFileSystem(), other, {}, {{"format", "pt"}});
  REQUIRE(writer.ok());
  REQUIRE(writer->Finish().ok());
  const Status status = CalibrationFile::Open(PosixFileSystem(), other).status();
  CHECK(status.code() == StatusCode::kUnreadable);
  CHECK_THAT(status.message(), ContainsText("not a calibration file"));
}

TEST_CASE("headers that disagree with themselves or the tensors are refused") {
  const TempDir directory;
  const std::string path = directory.File("c.safetensors");
  const std::string changed = directory.File("changed.safetensors");
  Write(path, TestCalibration());
  struct Case {
    std::function<void(nlohmann::json&)> change;
    std::string message;
  };
  const std::vector<Case> cases = {
      {[](nlohmann::json& header) { header["format"] = 2; }, "calibration format 2"},
      {[](nlohmann::json& header) { header["archive_sha256"] = "abc"; }, "/archive_sha256"},
      {[](nlohmann::json& header) { header.erase("seed"); }, "/seed"},
      {[](nlohmann::json& header) { header["sead"] = 1; }, "sead"},
      {[](nlohmann::json& header) { header["num_steps"] = 0; }, "/num_steps"},
      {[](nlohmann::json& header) { header["layers"]["a.q_proj"] = 2; }, "/layers/a.q_proj"},
      {[](nlohmann::json& header) { header["inputs"][0]["columns"] = 4; }, "input.0.abs_max"},
      {[](nlohmann::json& header) { header["inputs"][0]["rows"][0] = 1; }, "input.0.samples.0"},
      {[](nlohmann::json& header) { header["inputs"][0]["rows"][0] = -1; }, "/inputs/0"},
      {[](nlohmann::json& header) { header["inputs"][0].erase("rows"); }, "/inputs/0/rows"},
      {[](nlohmann::json& header) { header["inputs"][0]["rows"].push_back(0); }, "samples.3"},
      {[](nlohmann::json& header) { header["inputs"][0]["rows"].erase(2); }, "tensors"},
  };
  for (const Case& one : cases) {
    Rewrite(path, changed, one.change);
    const Status status = CalibrationFile::Open(PosixFileSystem(), changed).status();
    INFO(status.message());
    CHECK(!status.ok());
    CHECK_THAT(status.message(), ContainsText(changed));
    CHECK_THAT(status.message(), ContainsText(one.message));
  }
}

TEST_CASE("a changed byte among the numbers is found when the layer is read") {
  const TempDir directory;
  const std::string path = directory.File("c.safetensors");
  Write(path, TestCalibration());
  const auto mapped = PosixFileSystem().Map(path);
  REQUIRE(mapped.ok());
  FaultyFileSystem faulty(PosixFileSystem());
  faulty.FlipByte(path, (*mapped)->bytes().size() - 1);  // of the second input
  const auto file = CalibrationFile::Open(faulty, path);
  REQUIRE(file.ok());
  int damaged = 0;
  for (const std::string& name : file->LayerNames()) {
    const Status status = file->Layer(name, 3).status();
    if (status.ok()) continue;
    CHECK(status.code() == StatusCode::kUnreadable);
    CHECK_THAT(status.message(), ContainsText("damaged"));
    ++damaged;
  }
  CHECK(damaged == 1);
}

TEST_CASE("a full disk leaves the old calibration as it was") {
  const TempDir directory;
  const std::string path = directory.File("c.safetensors");
  Write(path, TestCalibration());
  Calibration other = TestCalibration();
  other.seed = 1;
  for (size_t operation = 0; operation < 3; ++operation) {
    FaultyFileSystem faulty(PosixFileSystem());
    faulty.FailFrom(operation);
    CHECK(!WriteCalibration(faulty, path, other).ok());
    CHECK(Open(path).seed() == 42);
  }
}
