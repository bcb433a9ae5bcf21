#include "quant/transform/greedy.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/transform.h"
#include "model/transforms/noise.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

// Noise with outliers in two columns of each block.
std::vector<float> Samples(int64_t rows, int64_t columns, int64_t block) {
  std::vector<float> x = GaussianNoise(5, rows * columns);
  for (size_t i = 0; i < x.size(); ++i) {
    const auto place = static_cast<int64_t>(i) % block;
    if (place == 3) x[i] *= 50;
    if (place == block - 1) x[i] *= 20;
  }
  return x;
}

float Peak(const std::vector<float>& values) {
  float peak = 0;
  for (const float value : values) peak = std::max(peak, std::abs(value));
  return peak;
}

double LargestOrthogonalityError(const std::vector<float>& r, int64_t size) {
  double largest = 0;
  for (int64_t i = 0; i < size; ++i) {
    for (int64_t j = 0; j < size; ++j) {
      double product = i == j ? -1 : 0;
      for (int64_t k = 0; k < size; ++k) {
        product += static_cast<double>(r[static_cast<size_t>(k * size + i)]) *
                   static_cast<double>(r[static_cast<size_t>(k * size + j)]);
      }
      largest = std::max(largest, std::abs(product));
    }
  }
  return largest;
}

TEST_CASE("the greedy rotation is orthogonal and lowers the peak") {
  for (const int64_t block : {2, 16, 64}) {
    const int64_t columns = 4 * block;
    const std::vector<float> x = Samples(40, columns, block);
    const std::vector<float> rotation = GreedyRotation(x, block);
    INFO("block " << block);
    REQUIRE(std::ssize(rotation) == block * block);
    CHECK(LargestOrthogonalityError(rotation, block) < 1e-6);
    std::vector<float> rotated(x.size());
    RotateRows(x.data(), rotated.data(), 40, columns, block, rotation, /*shared=*/true);
    CHECK(Peak(rotated) < (block == 2 ? 1.0f : 0.7f) * Peak(x));
  }
}

TEST_CASE("a single outlier is spread over its whole block") {
  std::vector<float> x(64, 0.0f);
  x[20] = 8;
  const std::vector<float> rotation = GreedyRotation(x, 64);
  std::vector<float> rotated(64);
  RotateRows(x.data(), rotated.data(), 1, 64, 64, rotation, /*shared=*/true);
  for (const float value : rotated) CHECK(std::abs(value) == Approx(1).margin(1e-5));
}

TEST_CASE("the greedy rotation is the same every time") {
  const std::vector<float> x = Samples(10, 64, 32);
  CHECK(GreedyRotation(x, 32) == GreedyRotation(x, 32));
}

TEST_CASE("without anything to spread the greedy rotation is the identity") {
  CHECK(GreedyRotation(std::vector<float>(8, 0.0f), 2) == std::vector<float>{1, 0, 0, 1});
  CHECK(GreedyRotation(std::vector<float>{3, -1}, 1) == std::vector<float>{1});
  // Spread evenly already: no rotation has a smaller peak than 1.
  CHECK(GreedyRotation(std::vector<float>{1, -1, -1, 1}, 2) == std::vector<float>{1, 0, 0, 1});
}

}  // namespace
}  // namespace vlaserve
