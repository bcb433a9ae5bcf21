// Activations that were seen at the input of a linear: what `vlaserve calibrate` records and static
// scales, activation-aware transforms and (later) smoothing search read. Free of LibTorch.
//
// File format: CALIBRATION_FORMAT.md. Recorded raw: before any smoothing, permutation or rotation,
// so that one recording serves every configuration.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/io/file_system.h"
#include "model/io/safetensors.h"
#include "model/io/status.h"

namespace vlaserve {

class JsonObject;

struct LayerCalibration {
  int64_t columns = 0;
  int64_t tokens = 0;          // rows observed in all
  std::vector<float> abs_max;  // [columns], over all rows observed
  // Rows kept, by denoise step: row-major [rows, columns] each; one entry for what runs once.
  std::vector<std::vector<float>> samples;
};

struct Calibration {
  std::string archive_sha256;  // of the weights that ran
  int64_t num_steps = 0;
  int64_t observations = 0;
  int64_t seed = 0;                                // of the choice of rows, not negative
  std::map<std::string, LayerCalibration> layers;  // by linear name
};

// SHA-256 (lower-case hexadecimal) of everything in it: what a pack that depends on it is keyed by.
// The bytes that are hashed: CALIBRATION_FORMAT.md, "Digest".
std::string LayerCalibrationSha256(const LayerCalibration& layer);

// Writes a file atomically; inputs that several layers share (q, k and v; gate and up) are stored
// once. Errors: kInvalidArgument naming the layer whose sizes contradict each other or that holds
// NaN or Inf; those of the file system.
Status WriteCalibration(FileSystem& files, const std::string& path, const Calibration& calibration);

// A calibration file, opened: the header is read and checked, a layer's numbers when asked for.
// Immutable after Open; any thread may read.
class CalibrationFile {
 public:
  // Errors: kNotFound; kUnreadable naming file and what was expected.
  static Result<CalibrationFile> Open(FileSystem& files, const std::string& path);

  const std::string& path() const { return file_.path(); }
  const std::string& archive_sha256() const { return archive_sha256_; }
  int64_t num_steps() const { return num_steps_; }
  int64_t observations() const { return observations_; }
  int64_t seed() const { return seed_; }
  // Names of the layers, sorted.
  std::vector<std::string> LayerNames() const;

  // kInvalidArgument unless it was recorded with these weights (Archive::archive_sha256).
  Status CheckArchive(std::string_view archive_sha256) const;

  // What was recorded of a linear with `columns` input features. Errors: kInvalidArgument for a
  // layer that was not recorded or has another width; kUnreadable for bytes that do not match their
  // digest.
  Result<LayerCalibration> Layer(const std::string& name, int64_t columns) const;

 private:
  // What some layers share, as the header has it.
  struct Input {
    int64_t columns = 0;
    int64_t tokens = 0;
    std::vector<int64_t> rows;  // kept, by denoise step
    std::string sha256;
  };

  explicit CalibrationFile(SafetensorsFile file) : file_(std::move(file)) {}
  static Result<Input> ReadInput(JsonObject& object);
  Status ReadHeader();
  Status CheckTensors() const;
  Result<const TensorView*> Tensor(const std::string& name,
                                   const std::vector<int64_t>& shape) const;

  SafetensorsFile file_;
  std::string archive_sha256_;
  int64_t num_steps_ = 0;
  int64_t observations_ = 0;
  int64_t seed_ = 0;
  std::vector<Input> inputs_;
  std::map<std::string, size_t> layers_;  // name → index of its input
};

}  // namespace vlaserve
