#include "model/policy/compare.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace vlaserve {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Which rows of the prefix are valid when nothing is dropped.
std::vector<bool> ValidRows(const ModelInput& input, size_t length) {
  std::vector<bool> valid;
  const size_t tokens_per_camera =
      input.cameras.empty() ? 0 : (length - input.tokens.size()) / input.cameras.size();
  for (const CameraInput& camera : input.cameras) {
    valid.insert(valid.end(), tokens_per_camera, camera.valid);
  }
  for (const uint8_t mask : input.token_mask) valid.push_back(mask != 0);
  return valid;
}

// The rows [.., row, d] of keys or values that belong to valid prefix tokens.
template <typename T>
std::vector<T> KeepRows(const std::vector<T>& values, const std::vector<int64_t>& shape,
                        const std::vector<bool>& valid) {
  const auto width = static_cast<size_t>(shape.back());
  std::vector<T> kept;
  for (size_t row = 0; row * width < values.size(); ++row) {
    if (!valid[row % valid.size()]) continue;
    const auto begin = values.begin() + static_cast<std::ptrdiff_t>(row * width);
    kept.insert(kept.end(), begin, begin + static_cast<std::ptrdiff_t>(width));
  }
  return kept;
}

}  // namespace

template <typename T>
Comparison Compare(const std::vector<T>& values, const ReferenceTensor& reference,
                   const Tolerance& tolerance) {
  Comparison result;
  result.name = reference.name;
  if (values.size() != reference.values.size() || values.empty()) {
    result.max_abs_diff = result.mean_abs_diff = kInfinity;
    return result;
  }
  double sum = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double expected = reference.values[i];
    double difference = std::abs(static_cast<double>(values[i]) - expected);
    if (!std::isfinite(difference)) difference = kInfinity;
    result.max_abs_diff = std::max(result.max_abs_diff, difference);
    sum += difference;
    result.reference_abs_max = std::max(result.reference_abs_max, std::abs(expected));
  }
  result.mean_abs_diff = sum / static_cast<double>(values.size());
  result.passed = result.max_abs_diff <= tolerance.max && result.mean_abs_diff <= tolerance.mean;
  return result;
}

template Comparison Compare(const std::vector<float>&, const ReferenceTensor&, const Tolerance&);
template Comparison Compare(const std::vector<double>&, const ReferenceTensor&, const Tolerance&);

std::vector<Comparison> CompareIntermediates(const std::vector<NamedArray>& trace,
                                             const GoldenModelCase& golden,
                                             const Tolerance& tolerance) {
  std::vector<Comparison> comparisons;
  for (const NamedArray& array : trace) {
    const auto found = golden.intermediates.find(array.name);
    if (found == golden.intermediates.end()) continue;
    std::vector<float> values = array.values;
    ReferenceTensor reference = found->second;
    if (array.name.starts_with("prefix_k.") || array.name.starts_with("prefix_v.")) {
      const auto length = static_cast<size_t>(array.shape.at(1));
      const std::vector<bool> valid = ValidRows(golden.input, length);
      if (values.size() == reference.values.size() && valid.size() == length) {
        values = KeepRows(values, array.shape, valid);
        reference.values = KeepRows(reference.values, array.shape, valid);
      }
    }
    double scale = 1;
    for (const double value : reference.values) scale = std::max(scale, std::abs(value));
    const Tolerance scaled = {.max = tolerance.max * scale, .mean = tolerance.max * scale};
    comparisons.push_back(Compare(values, reference, scaled));
  }
  return comparisons;
}

}  // namespace vlaserve
