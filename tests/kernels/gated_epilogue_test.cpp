#include "kernels/cpu/gated_epilogue.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <vector>

#include "kernels/transform.h"
#include "tests/kernels/gated_biases.h"
#include "tests/kernels/random_values.h"
#include "tests/kernels/tested_kernels.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

using kernels::CpuKernels;

struct Case {
  int64_t features;
  int64_t block;
  bool dense;
  bool shared;
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const int64_t features : {1, 31, 100, 129, 256, 1200, 4304}) {
    cases.push_back({features, 1, false, false});
    for (const int64_t block : {2, 4, 8, 16, 32, 64, 128, 256}) {
      if (features % block == 0) cases.push_back({features, block, false, false});
      if (features % block == 0) cases.push_back({features, block, true, true});
      if (features <= 1200) cases.push_back({features, block, true, false});
    }
    cases.push_back({features, 96, true, false});
  }
  return cases;
}

uint32_t LargestBits(const float* values, int64_t count) {
  uint32_t largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    largest = std::max(largest, std::bit_cast<uint32_t>(values[i]) & 0x7FFFFFFFu);
  }
  return largest;
}

// GELU(gate) · up of every feature, by the first of the kernels without anything behind it.
std::vector<float> Products(const std::vector<float>& gate, const std::vector<float>& up) {
  GatedBiases mlp(1, gate, up, 1, *TestedKernels().front());
  mlp.Run();
  return mlp.hidden();
}

TEST_CASE("gated epilogue: smoothing and rotation by their definitions") {
  for (const Case& c : Cases()) {
    const std::vector<float> gate = RandomFloats(1, c.features);
    const std::vector<float> up = RandomFloats(2, c.features);
    std::vector<float> smooth = RandomFloats(3, c.features);
    const std::vector<float> rotations = RandomFloats(4, c.features * c.block + c.block * c.block);
    std::vector<float> rotated = Products(gate, up);
    ScaleColumns(rotated.data(), 1, c.features, smooth);
    if (c.dense) {
      const std::vector<float> before = rotated;
      RotateRows(before.data(), rotated.data(), 1, c.features, c.block, rotations, c.shared);
    } else {
      HadamardRows(rotated.data(), 1, c.features, c.block);
    }
    const int64_t tile = kernels::GatedTileColumns(c.block);
    std::vector<uint32_t> largest;
    for (int64_t begin = 0; begin < c.features; begin += tile) {
      largest.push_back(LargestBits(rotated.data() + begin, std::min(tile, c.features - begin)));
    }
    for (const CpuKernels* const cpu : TestedKernels()) {
      for (const int64_t rows : {1, 7, 13}) {
        CAPTURE(kernels::IsaName(cpu->isa), c.features, c.block, c.dense, c.shared, rows);
        GatedBiases mlp(rows, gate, up, c.block, *cpu);
        mlp.problem.inverse_smooth = smooth.data();
        if (c.dense) mlp.problem.rotations = rotations.data();
        mlp.problem.shared_rotation = c.shared;
        mlp.Run();
        std::vector<float> expected;
        std::vector<uint32_t> expected_largest;
        for (int64_t r = 0; r < rows; ++r) {
          expected.insert(expected.end(), rotated.begin(), rotated.end());
          expected_largest.insert(expected_largest.end(), largest.begin(), largest.end());
        }
        REQUIRE(mlp.hidden() == expected);
        REQUIRE(mlp.largest() == expected_largest);
      }
    }
  }
}

TEST_CASE("gated epilogue: what is not finite shows in the tile's largest value") {
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const float value : {nan, -nan, infinity, -infinity}) {
    for (const bool in_gate : {false, true}) {
      for (const size_t feature : {size_t{0}, size_t{40}, size_t{99}}) {
        for (const int64_t block : {1, 4}) {
          std::vector<float> gate = RandomFloats(1, 100);
          std::vector<float> up = RandomFloats(2, 100);
          (in_gate ? gate : up)[feature] = value;
          for (const CpuKernels* const cpu : TestedKernels()) {
            GatedBiases mlp(2, gate, up, block, *cpu);
            mlp.Run();
            const std::vector<uint32_t> largest = mlp.largest();
            REQUIRE(largest.size() == 8);
            for (size_t i = 0; i < largest.size(); ++i) {
              CAPTURE(kernels::IsaName(cpu->isa), value, in_gate, feature, block, i);
              CHECK((largest[i] >= 0x7F800000u) == (i % 4 == feature / 32));
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace vlaserve
