#include "tests/quant/report/calibrated.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "model/policy/runtime.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"

namespace vlaserve {
namespace {

void RequireOk(const Status& status) {
  INFO(status.message());
  REQUIRE(status.ok());
}

}  // namespace

CalibratedPolicy::CalibratedPolicy(const std::string& folder, size_t max_inputs) {
  RequireOk(InitializeRuntime(0));
  exported_ = ExportGolden(folder, SettingsFor(folder));
  auto inputs = GoldenInputs(PosixFileSystem(), GoldenPath(folder), *exported_->Open());
  RequireOk(inputs.status());
  inputs_ = *std::move(inputs);
  inputs_.resize(std::min(inputs_.size(), max_inputs));
  PackCacheOptions options;
  options.directory = exported_->directory.File("packs");
  auto cache = PackCache::Open(PosixFileSystem(), options, [](const std::string& line) {
    FAIL_CHECK("the pack cache warns: " << line);
  });
  RequireOk(cache.status());
  cache_ = *std::move(cache);
}

ArchiveOpener CalibratedPolicy::opener() const {
  return [path = exported_->path] { return Archive::Open(PosixFileSystem(), path); };
}

const std::string& CalibratedPolicy::calibration_file() {
  if (calibration_file_.empty()) {
    RecordOptions options;
    options.max_rows = 32;
    const auto recording = RecordCalibration(exported_->Open(), options, inputs_, {});
    RequireOk(recording.status());
    const std::string path = exported_->directory.File("calibration.safetensors");
    RequireOk(WriteCalibration(PosixFileSystem(), path, recording->calibration));
    calibration_file_ = path;
  }
  return calibration_file_;
}

const std::string& CalibratedPolicy::smooth_file() {
  if (smooth_file_.empty()) {
    nlohmann::json layers = nlohmann::json::object();
    const std::unique_ptr<Archive> archive = exported_->Open();
    for (const LinearInfo& linear : archive->linears()) {
      if (!linear.live) continue;
      std::vector<double> scales;
      for (int64_t k = 0; k < linear.in_features; ++k) {
        scales.push_back(0.5 + 0.25 * static_cast<double>(k % 7));
      }
      layers[linear.name] = scales;
    }
    smooth_file_ = exported_->directory.Write(
        "smooth.json", nlohmann::json{{"alpha", 0.5}, {"layers", layers}}.dump());
  }
  return smooth_file_;
}

}  // namespace vlaserve
