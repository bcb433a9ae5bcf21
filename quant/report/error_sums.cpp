#include "quant/report/error_sums.h"

#include <cassert>
#include <cmath>
#include <limits>

namespace vlaserve {

void ErrorSums::Add(std::span<const float> quantized_values,
                    std::span<const float> reference_values) {
  assert(quantized_values.size() == reference_values.size());
  for (size_t i = 0; i < quantized_values.size(); ++i) {
    const double q = quantized_values[i];
    const double r = reference_values[i];
    const double difference = std::abs(q - r);
    error += difference * difference;
    reference += r * r;
    quantized += q * q;
    product += q * r;
    absolute += difference;
    // A NaN stays: nothing is larger than it.
    if (difference > largest || std::isnan(difference)) largest = difference;
  }
  values += static_cast<int64_t>(quantized_values.size());
}

double ErrorSums::Nmse() const {
  if (reference != 0) return error / reference;
  return error == 0 ? 0 : std::numeric_limits<double>::infinity();
}

double ErrorSums::Cosine() const {
  if (reference == 0 && quantized == 0) return 1;
  if (reference == 0 || quantized == 0) return 0;
  return product / std::sqrt(reference) / std::sqrt(quantized);
}

double ErrorSums::MeanAbsolute() const {
  return values == 0 ? 0 : absolute / static_cast<double>(values);
}

}  // namespace vlaserve
