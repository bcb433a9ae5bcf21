// Names inside of a calibration file (CALIBRATION_FORMAT.md), for its writer and its reader.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace vlaserve {

inline constexpr int64_t kCalibrationFormatVersion = 1;
inline constexpr const char* kCalibrationKey = "vlaserve.calibration";  // in the file's metadata

inline std::string AbsMaxName(size_t input) {
  return "input." + std::to_string(input) + ".abs_max";
}

inline std::string SamplesName(size_t input, size_t step) {
  return "input." + std::to_string(input) + ".samples." + std::to_string(step);
}

}  // namespace vlaserve
