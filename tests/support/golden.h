// Golden data: reference numbers in folders whose format tests/golden/README.md describes.
//
// Tests that use it have "golden" in their names, take every case that the folder holds, and end
// with ReportGoldenCases. All functions fail the running test when a file or tensor is missing.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "model/io/safetensors.h"

namespace vlaserve {

// The folder named by the environment variable VLASERVE_GOLDEN_DIR, else the copy in tests/golden.
std::string GoldenDir();

// Path of "tiny_pi0/cases.json", for instance.
std::string GoldenPath(std::string_view name);

// True if the golden folder holds this file or directory.
bool HasGolden(std::string_view name);

nlohmann::json ReadGoldenJson(std::string_view name);
SafetensorsFile OpenGoldenTensors(std::string_view name);
const TensorView& GoldenTensor(const SafetensorsFile& file, std::string_view tensor);

// A number of a golden JSON file, where "nan", "inf" and "-inf" are strings.
double GoldenNumber(const nlohmann::json& value);

// Prints "golden: 7 cases of NAME" and fails the test if there were none.
void ReportGoldenCases(std::string_view name, size_t cases);

// Largest |a - b|; infinity if lengths differ or exactly one side of a pair is NaN.
template <typename A, typename B>
double MaxAbsDiff(const A& a, const B& b) {
  if (std::size(a) != std::size(b)) return std::numeric_limits<double>::infinity();
  double largest = 0;
  for (size_t i = 0; i < std::size(a); ++i) {
    const double left = static_cast<double>(a[i]);
    const double right = static_cast<double>(b[i]);
    if (left == right || (std::isnan(left) && std::isnan(right))) continue;
    const double difference = std::abs(left - right);
    if (std::isnan(difference)) return std::numeric_limits<double>::infinity();
    largest = std::max(largest, difference);
  }
  return largest;
}

}  // namespace vlaserve
