#include "quant/transform/permutation.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tests/support/catch.h"

namespace vlaserve {
namespace {

using Order = std::vector<int32_t>;

TEST_CASE("weight zigzag takes the largest, the smallest, the second largest …") {
  // Energies 1 + 0, 9 + 16, 4, 0, 1 + 9.
  const std::vector<float> weight = {1, -3, 2, 0, 1,  //
                                     0, 4,  0, 0, -3};
  CHECK(WeightZigzag(weight, 2, 5) == Order{1, 3, 4, 0, 2});
  CHECK(WeightZigzag(weight, 5, 2) == Order{0, 1});
}

TEST_CASE("weight zigzag: ties go to the lower index") {
  CHECK(WeightZigzag(std::vector<float>{2, -2, 2, -2}, 1, 4) == Order{0, 3, 1, 2});
  CHECK(WeightZigzag(std::vector<float>{5}, 1, 1) == Order{0});
}

TEST_CASE("activation snake deals columns to the blocks forward and backward") {
  // By magnitude: 5 0 4 2 1 3.
  const std::vector<float> magnitudes = {9, 2, 4, 1, 8, 10};
  CHECK(ActivationSnake(magnitudes, 2) == Order{5, 3, 0, 1, 4, 2});
  CHECK(ActivationSnake(magnitudes, 3) == Order{5, 2, 1, 0, 4, 3});
  CHECK(ActivationSnake(magnitudes, 6) == Order{5, 0, 4, 2, 1, 3});
}

TEST_CASE("activation snake gives every block one of the largest columns") {
  std::vector<float> magnitudes(64, 1);
  for (size_t c = 0; c < 4; ++c) magnitudes[c] = 100 + static_cast<float>(c);
  const Order order = ActivationSnake(magnitudes, 16);
  for (size_t block = 0; block < 4; ++block) {
    const auto first = order.begin() + static_cast<std::ptrdiff_t>(block * 16);
    CHECK(std::count_if(first, first + 16, [](int32_t c) { return c < 4; }) == 1);
  }
}

TEST_CASE("activation snake fills a shorter last block and uses each column once") {
  std::vector<float> magnitudes(50);
  for (size_t c = 0; c < magnitudes.size(); ++c) magnitudes[c] = static_cast<float>(c * 7 % 50);
  Order order = ActivationSnake(magnitudes, 16);
  // The two columns of the last block are the fourth and the fifth that are dealt.
  CHECK(order[48] ==
        std::distance(magnitudes.begin(), std::find(magnitudes.begin(), magnitudes.end(), 46.0f)));
  CHECK(order[49] ==
        std::distance(magnitudes.begin(), std::find(magnitudes.begin(), magnitudes.end(), 45.0f)));
  std::sort(order.begin(), order.end());
  for (size_t c = 0; c < order.size(); ++c) REQUIRE(order[c] == static_cast<int32_t>(c));
}

}  // namespace
}  // namespace vlaserve
