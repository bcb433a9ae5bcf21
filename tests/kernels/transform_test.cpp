#include "kernels/transform.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "tests/kernels/random_values.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

size_t At(int64_t index) { return static_cast<size_t>(index); }

TEST_CASE("Hadamard blocks are the Sylvester matrix over the root of the size") {
  for (int64_t block = 1; block <= 256; block *= 2) {
    const int64_t columns = 3 * block;
    std::vector<float> rows(At(columns * columns));
    for (int64_t i = 0; i < columns; ++i) rows[At(i * columns + i)] = 1;
    HadamardRows(rows.data(), columns, columns, block);
    const auto factor = static_cast<float>(1 / std::sqrt(static_cast<double>(block)));
    for (int64_t i = 0; i < columns; ++i) {
      for (int64_t j = 0; j < columns; ++j) {
        const bool negative = __builtin_parityll(static_cast<uint64_t>((i % block) & (j % block)));
        const float expected = i / block != j / block ? 0 : (negative ? -factor : factor);
        REQUIRE(rows[At(i * columns + j)] == expected);
      }
    }
  }
}

TEST_CASE("Hadamard blocks round after every addition, as defined") {
  const int64_t block = 32;
  const std::vector<float> in = RandomFloats(1, 5 * 4 * block);
  std::vector<float> expected = in;
  for (size_t begin = 0; begin < expected.size(); begin += At(block)) {
    for (int64_t half = 1; half < block; half *= 2) {
      for (int64_t j = 0; j < block; ++j) {
        if ((j & half) != 0) continue;
        float& a = expected[begin + At(j)];
        float& b = expected[begin + At(j + half)];
        const float sum = a + b;
        b = a - b;
        a = sum;
      }
    }
    for (int64_t j = 0; j < block; ++j) {
      expected[begin + At(j)] *= static_cast<float>(1 / std::sqrt(32.0));
    }
  }
  std::vector<float> rows = in;
  HadamardRows(rows.data(), 5, 4 * block, block);
  CHECK(rows == expected);
}

TEST_CASE("rotations sum in float over ascending rows of the matrix") {
  struct Case {
    int64_t columns;
    int64_t block;
    bool shared;
  };
  for (const Case& c : {Case{96, 32, false}, Case{100, 16, false}, Case{128, 64, true},
                        Case{77, 77, false}, Case{6, 1, false}, Case{50, 64, false}}) {
    const int64_t rows = 3;
    const std::vector<float> in = RandomFloats(2, rows * c.columns);
    const std::vector<float> rotations = RandomFloats(3, c.columns * c.block);
    std::vector<float> out(in.size(), std::numeric_limits<float>::quiet_NaN());
    RotateRows(in.data(), out.data(), rows, c.columns, c.block, rotations, c.shared);
    for (int64_t r = 0; r < rows; ++r) {
      const float* rotation = rotations.data();
      for (int64_t begin = 0; begin < c.columns; begin += c.block) {
        const int64_t size = std::min(c.block, c.columns - begin);
        for (int64_t j = 0; j < size; ++j) {
          float sum = 0;
          for (int64_t i = 0; i < size; ++i) {
            sum += in[At(r * c.columns + begin + i)] * rotation[i * size + j];
          }
          REQUIRE(out[At(r * c.columns + begin + j)] == sum);
        }
        if (!c.shared) rotation += size * size;
      }
    }
  }
}

TEST_CASE("blocks of rows are rotated from the left") {
  const int64_t rows = 50;
  const int64_t columns = 300;
  const int64_t block = 16;
  const std::vector<float> in = RandomFloats(4, rows * columns);
  const std::vector<float> rotations = RandomFloats(5, 3 * block * block + 2 * 2);
  std::vector<float> out = in;
  RotateRowBlocks(out.data(), rows, columns, block, rotations);
  const float* rotation = rotations.data();
  for (int64_t first = 0; first < rows; first += block) {
    const int64_t size = std::min(block, rows - first);
    for (int64_t i = 0; i < size; ++i) {
      for (int64_t c = 0; c < columns; ++c) {
        float sum = 0;
        for (int64_t j = 0; j < size; ++j) {
          sum += rotation[i * size + j] * in[At((first + j) * columns + c)];
        }
        REQUIRE(out[At((first + i) * columns + c)] == sum);
      }
    }
    rotation += size * size;
  }
}

TEST_CASE("a permutation names the source of each column") {
  const std::vector<float> in = {10, 11, 12, 20, 21, 22};
  std::vector<float> out(6);
  PermuteColumns(in.data(), out.data(), 2, 3, std::vector<int32_t>{2, 0, 1});
  CHECK(out == std::vector<float>{12, 10, 11, 22, 20, 21});
}

TEST_CASE("columns are scaled by their factors") {
  std::vector<float> rows = {1, 2, 3, 4};
  ScaleColumns(rows.data(), 2, 2, std::vector<float>{0.5f, 3});
  CHECK(rows == std::vector<float>{0.5f, 6, 1.5f, 12});
}

}  // namespace
}  // namespace vlaserve
