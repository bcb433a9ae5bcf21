#include "kernels/activation_pass.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "tests/kernels/activation_problem.h"
#include "tests/support/catch.h"

namespace vlaserve::kernels {
namespace {

TEST_CASE("activation pass: blocks of any number of rows") {
  for (int64_t max_rows = 1; max_rows <= 16; ++max_rows) {
    for (const int64_t rows : {int64_t{1}, max_rows, int64_t{13}, 2 * max_rows + 1}) {
      for (const int64_t columns : {1, 7, 8, 20, 100}) {
        CheckPass({.rows = rows, .columns = columns, .max_rows = max_rows, .beyond = 3});
      }
    }
  }
}

TEST_CASE("activation pass: Hadamard blocks") {
  for (int64_t block = 2; block <= 256; block *= 2) {
    for (const int64_t blocks : {1, 3}) {
      for (const bool permute : {false, true}) {
        CheckPass({.rows = 5,
                   .columns = blocks * block,
                   .beyond = 1,
                   .permute = permute,
                   .rotation = Rotation::kHadamard,
                   .block = block});
      }
    }
  }
  CheckPass({.columns = 1200, .smooth = true, .rotation = Rotation::kHadamard, .block = 16});
  CheckPass({.columns = 4304, .smooth = true, .rotation = Rotation::kHadamard, .block = 16});
}

TEST_CASE("activation pass: dense rotations, also of a last block that is shorter") {
  for (const int64_t block : {16, 24, 32, 64, 77, 128, 256}) {
    for (const int64_t columns : {100, 129, 1200}) {
      for (const bool permute : {false, true}) {
        CheckPass({.rows = 7,
                   .columns = columns,
                   .max_rows = 13,
                   .permute = permute,
                   .rotation = Rotation::kDense,
                   .block = block});
      }
    }
  }
  CheckPass({.rows = 3, .columns = 50, .rotation = Rotation::kDense, .block = 64});
  CheckPass({.rows = 3, .columns = 4304, .rotation = Rotation::kDense, .block = 16});
}

TEST_CASE("activation pass: any number of rows shares a dense rotation") {
  for (int64_t rows = 1; rows <= 16; ++rows) {
    CheckPass({.rows = rows,
               .columns = 256,
               .max_rows = 16,
               .beyond = 5,
               .smooth = true,
               .rotation = Rotation::kShared,
               .block = 64});
  }
}

TEST_CASE("activation pass: norms with factor and shift per batch row") {
  for (const NormKind norm : {NormKind::kRms, NormKind::kLayer}) {
    for (const ElementType type : {ElementType::kFloat32, ElementType::kBFloat16}) {
      for (const int64_t columns : {5, 16, 100, 129, 1152}) {
        for (const int64_t rows_per_factor : {1, 3, 7}) {
          for (const bool shift : {false, true}) {
            CheckPass({.rows = 7,
                       .columns = columns,
                       .beyond = 2,
                       .type = type,
                       .norm = norm,
                       .factor = rows_per_factor != 1,
                       .shift = shift,
                       .rows_per_factor = rows_per_factor});
          }
        }
      }
    }
  }
}

TEST_CASE("activation pass: norm, smoothing, permutation and rotation together") {
  for (const ElementType type : {ElementType::kFloat32, ElementType::kBFloat16}) {
    for (const NormKind norm : {NormKind::kNone, NormKind::kRms, NormKind::kLayer}) {
      for (const bool permute : {false, true}) {
        for (const Rotation rotation :
             {Rotation::kNone, Rotation::kHadamard, Rotation::kDense, Rotation::kShared}) {
          CheckPass({.rows = 11,
                     .columns = 192,
                     .max_rows = 6,
                     .beyond = 7,
                     .type = type,
                     .norm = norm,
                     .factor = true,
                     .rows_per_factor = 4,
                     .smooth = true,
                     .permute = permute,
                     .rotation = rotation,
                     .block = rotation == Rotation::kNone ? 1 : 64});
        }
      }
    }
  }
}

TEST_CASE("activation pass: scales per group, sums per step") {
  for (const int64_t columns : {100, 129, 256, 1200}) {
    for (const int64_t group : {0, 32, 64, 128, 512}) {
      for (const int64_t step : {0, 32, 64, 128}) {
        if (group > 0 && group < columns && (step == 0 || group % step != 0)) continue;
        for (const bool smooth : {false, true}) {
          CheckPass({.rows = 6,
                     .columns = columns,
                     .smooth = smooth,
                     .group = group,
                     .step = step >= columns ? 0 : step});
        }
      }
    }
  }
}

TEST_CASE("activation pass: only the blocks asked for are written") {
  const ActivationSpec spec = {.rows = 10, .columns = 40, .max_rows = 4};  // blocks of 4, 3 and 3
  const ActivationProblem problem(spec);
  for (const CpuKernels* kernels : TestedKernels()) {
    ActivationOutput all(spec);
    REQUIRE(Quantize(*kernels, problem.Pass(), all) == -1);
    ActivationOutput part(spec);
    REQUIRE(kernels->quantize(problem.Pass(), part.view, 1, 2, part.scratch.data()) == -1);
    for (int64_t m = 0; m < spec.rows; ++m) {
      const bool written = m >= 4 && m < 7;
      CHECK(part.scales[m] == (written ? all.scales[m] : -1.0f));
      CHECK(part.sums[m] == (written ? all.sums[m] : -1));
      CHECK(part.Code(m, 39) == (written ? all.Code(m, 39) : 99));
    }
  }
}

TEST_CASE("activation pass: below 2^-100 everything is zero") {
  const ActivationSpec spec = {.rows = 3, .columns = 36};
  ActivationProblem problem(spec);
  for (int64_t c = 0; c < spec.columns; ++c) {
    problem.Set(0, c, 0x1p-100f);
    problem.Set(1, c, std::nextafter(0x1p-100f, 0.0f));
    problem.Set(2, c, -0.0f);
  }
  for (const CpuKernels* kernels : TestedKernels()) {
    ActivationOutput output(spec);
    REQUIRE(Quantize(*kernels, problem.Pass(), output) == -1);
    CHECK(output.scales.values() == std::vector<float>{0x1p-100f / 127, 0, 0});
    CHECK(output.sums.values() == std::vector<int32_t>{127 * 36, 0, 0});
  }
}

TEST_CASE("activation pass: the largest values may be known already") {
  const ActivationSpec spec = {.rows = 6, .columns = 100};
  const ActivationProblem problem(spec);
  const std::vector<float> rows = problem.Transformed();
  GuardedVector<uint32_t> largest(Guard::kBehind, spec.rows * 2);
  std::vector<float> scales;
  for (int64_t m = 0; m < spec.rows; ++m) {
    float values[2] = {0, 0};
    for (int64_t c = 0; c < spec.columns; ++c) {
      values[c / 64] = std::max(values[c / 64], std::abs(rows[At(m * spec.columns + c)]));
    }
    // Twice what it is, so that it shows which was taken.
    for (int i = 0; i < 2; ++i) largest[2 * m + i] = std::bit_cast<uint32_t>(2 * values[i]);
    scales.push_back(2 * std::max(values[0], values[1]) / 127);
  }
  ActivationPass pass = problem.Pass();
  pass.largest = largest.data();
  pass.largest_count = 2;
  for (const CpuKernels* kernels : TestedKernels()) {
    ActivationOutput output(spec);
    REQUIRE(Quantize(*kernels, pass, output) == -1);
    CHECK(output.scales.values() == scales);
    const float inverse = 127 / std::bit_cast<float>(std::max(largest[0], largest[1]));
    CHECK(output.Code(0, 99) == static_cast<int8_t>(std::nearbyint(rows[99] * inverse)));

    for (const uint32_t bits : {0x7F800000u, 0x7FC00000u, 0x7FFFFFFFu}) {
      const uint32_t before = largest[2 * 4 + 1];
      largest[2 * 4 + 1] = bits;
      CHECK(Quantize(*kernels, pass, output) == 4);
      largest[2 * 4 + 1] = before;
    }
  }
}

TEST_CASE("activation pass: the first row that is not finite is returned") {
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const int64_t columns = 84;
  std::vector<ActivationSpec> all;
  for (const Rotation rotation : {Rotation::kNone, Rotation::kHadamard, Rotation::kDense}) {
    for (const NormKind norm : {NormKind::kNone, NormKind::kRms, NormKind::kLayer}) {
      for (const int64_t group : {0, 32}) {
        all.push_back({.rows = 9,
                       .columns = columns,
                       .max_rows = 5,
                       .norm = norm,
                       .rotation = rotation,
                       .block = rotation == Rotation::kNone ? 1 : 4,
                       .group = group,
                       .step = group});
      }
    }
  }
  for (const ActivationSpec& spec : all) {
    for (const float value : {nan, -nan, infinity, -infinity}) {
      for (const int64_t row : {0, 3, 4, 5, 8}) {
        for (const int64_t column : {int64_t{0}, int64_t{31}, int64_t{64}, columns - 1}) {
          ActivationProblem problem(spec);
          problem.Set(row, column, value);
          problem.Set(8, 40, value);
          for (const CpuKernels* kernels : TestedKernels()) {
            ActivationOutput output(spec);
            CAPTURE(IsaName(kernels->isa), value, row, column, spec.group);
            REQUIRE(Quantize(*kernels, problem.Pass(), output) == row);
          }
        }
      }
    }
  }
}

TEST_CASE("activation pass: a rotation that overflows is an error too") {
  for (const Rotation rotation : {Rotation::kHadamard, Rotation::kDense}) {
    const ActivationSpec spec = {.rows = 3, .columns = 32, .rotation = rotation, .block = 32};
    ActivationProblem problem(spec);
    for (int64_t c = 0; c < spec.columns; ++c) problem.Set(1, c, 3e38f);
    for (const CpuKernels* kernels : TestedKernels()) {
      ActivationOutput output(spec);
      CHECK(Quantize(*kernels, problem.Pass(), output) == 1);
    }
  }
}

}  // namespace
}  // namespace vlaserve::kernels
