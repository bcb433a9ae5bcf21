// Measures of how far quantized numbers are from float ones.
#pragma once

#include <cstdint>
#include <span>

namespace vlaserve {

// Sums over pairs of values, in double. Values that are not finite make every measure NaN or
// infinite, never small.
struct ErrorSums {
  int64_t values = 0;
  double error = 0;      // Σ (quantized - reference)²
  double reference = 0;  // Σ reference²
  double quantized = 0;  // Σ quantized²
  double product = 0;    // Σ quantized · reference
  double absolute = 0;   // Σ |quantized - reference|
  double largest = 0;    // max |quantized - reference|

  // Precondition: as many of both.
  void Add(std::span<const float> quantized_values, std::span<const float> reference_values);

  // Normalised mean squared error: error / reference. 0 if both are 0, infinite if only the
  // reference is.
  double Nmse() const;
  // 1 if both sides are 0 throughout, 0 if only one is.
  double Cosine() const;
  double MeanAbsolute() const;  // 0 without values
};

}  // namespace vlaserve
