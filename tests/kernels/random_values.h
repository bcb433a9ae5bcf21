// Reproducible input data for the kernel tests.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

namespace vlaserve {

// Normally distributed with a few outliers, the same on every machine for a seed and a library.
inline std::vector<float> RandomFloats(uint32_t seed, int64_t count) {
  std::mt19937 bits(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) {
    value = normal(bits);
    if (bits() % 97 == 0) value *= 20;
  }
  return values;
}

inline std::vector<int8_t> RandomCodes(uint32_t seed, int64_t count, int low, int high) {
  std::mt19937 bits(seed);
  std::uniform_int_distribution<int> uniform(low, high);
  std::vector<int8_t> codes(static_cast<size_t>(count));
  for (int8_t& code : codes) code = static_cast<int8_t>(uniform(bits));
  return codes;
}

}  // namespace vlaserve
