#include "kernels/activation_pass.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "kernels/cpu/kernel_table.h"
#include "kernels/panels.h"
#include "kernels/quantize.h"
#include "kernels/transform.h"
#include "tests/kernels/guarded_memory.h"
#include "tests/kernels/random_values.h"
#include "tests/kernels/tested_kernels.h"
#include "tests/support/catch.h"

namespace vlaserve::kernels {
namespace {

size_t At(int64_t index) { return static_cast<size_t>(index); }

// Guarded, with the operations that the tests need.
template <class T>
class Array {
 public:
  Array(Guard guard, int64_t size, T value = T{}) : memory_(size, guard) {
    std::fill_n(memory_.data(), memory_.size(), value);
  }
  Array(Guard guard, const std::vector<T>& values)
      : Array(guard, static_cast<int64_t>(values.size())) {
    std::copy(values.begin(), values.end(), memory_.data());
  }

  T* data() { return memory_.data(); }
  const T* data() const { return memory_.data(); }
  int64_t size() const { return static_cast<int64_t>(memory_.size()); }
  T& operator[](int64_t index) { return data()[index]; }
  const T& operator[](int64_t index) const { return data()[index]; }
  std::vector<T> values() const { return {data(), data() + size()}; }

 private:
  GuardedArray<T> memory_;
};

enum class Rotation { kNone, kHadamard, kDense, kShared };

struct Options {
  int64_t rows = 5;
  int64_t columns = 64;
  int64_t max_rows = 4;
  int64_t beyond = 0;  // stride - columns
  ElementType type = ElementType::kFloat32;
  NormKind norm = NormKind::kNone;
  bool factor = false;
  bool shift = false;
  int64_t rows_per_factor = 5;
  bool smooth = false;
  bool permute = false;
  Rotation rotation = Rotation::kNone;
  int64_t block = 1;
  int64_t group = 0;
  int64_t step = 0;  // 0: one
  Guard guard = Guard::kBehind;
};

// An activation pass over random values; every array begins or ends where memory does.
class Problem {
 public:
  explicit Problem(const Options& options)
      : options_(options),
        x_(options.guard,
           (options.rows - 1) * (options.columns + options.beyond) + options.columns),
        bfloat16_(options.guard, x_.size()),
        factor_(options.guard, RandomFloats(2, FactorRows() * options.columns)),
        shift_(options.guard, RandomFloats(3, FactorRows() * options.columns)),
        smooth_(options.guard, RandomFloats(4, options.columns)),
        permutation_(options.guard, options.columns),
        rotations_(options.guard, RandomFloats(5, RotationValues())) {
    const std::vector<float> values = RandomFloats(1, x_.size());
    for (int64_t i = 0; i < x_.size(); ++i) Set(i, values[At(i)]);
    for (int64_t c = 0; c < options.columns; ++c) permutation_[c] = static_cast<int32_t>(c);
    std::shuffle(permutation_.data(), permutation_.data() + options.columns, std::mt19937(6));
  }

  const Options& options() const { return options_; }
  void Set(int64_t row, int64_t column, float value) {
    Set(row * (options_.columns + options_.beyond) + column, value);
  }

  ActivationPass Pass() const {
    ActivationPass pass;
    const bool wide = options_.type == ElementType::kFloat32;
    pass.x = wide ? static_cast<const void*>(x_.data()) : bfloat16_.data();
    pass.type = options_.type;
    pass.stride = options_.columns + options_.beyond;
    pass.norm = options_.norm;
    pass.eps = 1e-6f;
    if (options_.factor) pass.factor = factor_.data();
    if (options_.shift) pass.shift = shift_.data();
    pass.rows_per_factor = options_.rows_per_factor;
    if (options_.smooth) pass.inverse_smooth = smooth_.data();
    if (options_.permute) pass.permutation = permutation_.data();
    pass.block = options_.block;
    if (options_.rotation == Rotation::kDense || options_.rotation == Rotation::kShared) {
      pass.rotations = rotations_.data();
    }
    pass.shared_rotation = options_.rotation == Rotation::kShared;
    return pass;
  }

  // What the pass quantizes, by the definitions.
  std::vector<float> Transformed() const {
    const int64_t rows = options_.rows;
    const int64_t columns = options_.columns;
    std::vector<float> y(At(rows * columns));
    for (int64_t m = 0; m < rows; ++m) {
      float* const row = y.data() + m * columns;
      std::copy_n(x_.data() + m * (columns + options_.beyond), columns, row);
      Normalize(m, row);
    }
    if (options_.smooth) ScaleColumns(y.data(), rows, columns, {smooth_.data(), At(columns)});
    std::vector<float> before = y;
    if (options_.permute) {
      PermuteColumns(before.data(), y.data(), rows, columns, {permutation_.data(), At(columns)});
      before = y;
    }
    if (options_.rotation == Rotation::kHadamard) {
      HadamardRows(y.data(), rows, columns, options_.block);
    } else if (options_.rotation != Rotation::kNone) {
      RotateRows(before.data(), y.data(), rows, columns, options_.block,
                 {rotations_.data(), At(rotations_.size())},
                 options_.rotation == Rotation::kShared);
    }
    return y;
  }

 private:
  int64_t FactorRows() const {
    return (options_.rows + options_.rows_per_factor - 1) / options_.rows_per_factor;
  }
  int64_t RotationValues() const {
    const int64_t block = options_.block;
    const int64_t last = options_.columns % block;
    return options_.rotation == Rotation::kShared
               ? block * block
               : options_.columns / block * block * block + last * last;
  }

  void Set(int64_t index, float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    bfloat16_[index] = static_cast<uint16_t>(bits >> 16);
    if (options_.type == ElementType::kBFloat16) value = std::bit_cast<float>(bits & 0xFFFF0000u);
    x_[index] = value;
  }

  // Sixteen partial sums, halves added.
  static float Sum(const std::vector<float>& lanes) {
    std::vector<float> sums = lanes;
    for (size_t half = 8; half > 0; half /= 2) {
      for (size_t i = 0; i < half; ++i) sums[i] = sums[i] + sums[i + half];
    }
    return sums[0];
  }

  void Normalize(int64_t m, float* row) const {
    if (options_.norm == NormKind::kNone) return;
    const int64_t columns = options_.columns;
    const auto count = static_cast<float>(columns);
    if (options_.norm == NormKind::kLayer) {
      std::vector<float> sums(16);
      for (int64_t c = 0; c < columns; ++c) sums[At(c % 16)] += row[c];
      const float mean = Sum(sums) / count;
      for (int64_t c = 0; c < columns; ++c) row[c] -= mean;
    }
    std::vector<float> squares(16);
    for (int64_t c = 0; c < columns; ++c) {
      squares[At(c % 16)] = std::fma(row[c], row[c], squares[At(c % 16)]);
    }
    const float mean_square = Sum(squares) / count;
    const float r = 1.0f / std::sqrt(mean_square + 1e-6f);
    const int64_t offset = m / options_.rows_per_factor * columns;
    for (int64_t c = 0; c < columns; ++c) {
      row[c] *= r;
      if (options_.factor) row[c] *= factor_[offset + c];
      if (options_.shift) row[c] += shift_[offset + c];
    }
  }

  Options options_;
  Array<float> x_;
  Array<uint16_t> bfloat16_;
  Array<float> factor_;
  Array<float> shift_;
  Array<float> smooth_;
  Array<int32_t> permutation_;
  Array<float> rotations_;
};

// What a pass writes, its arrays guarded too.
struct Output {
  explicit Output(const Options& o)
      : codes(o.guard, o.rows * PaddedDepth(o.columns), int8_t{99}),
        scales(o.guard, o.rows * GroupCount(o.columns, o.group), -1.0f),
        sums(o.guard, o.rows * ((o.columns + Step(o) - 1) / Step(o)), -1),
        scratch(o.guard, ActivationScratch(o.columns, o.max_rows), -1.0f),
        view{o.rows,     o.columns,    o.group,       Step(o),
             o.max_rows, codes.data(), scales.data(), sums.data()} {}

  static int64_t Step(const Options& o) { return o.step == 0 ? o.columns : o.step; }

  // Code of one row and column, columns up to PaddedDepth.
  int8_t Code(int64_t row, int64_t column) const {
    const RowBlocks blocks = view.blocks();
    int64_t block = 0;
    while (row >= blocks.begin(block) + blocks.size(block)) ++block;
    const int64_t quad = column / 4 * blocks.size(block) + row - blocks.begin(block);
    return codes[blocks.begin(block) * PaddedDepth(view.columns) + 4 * quad + column % 4];
  }

  Array<int8_t> codes;
  Array<float> scales;
  Array<int32_t> sums;
  Array<float> scratch;
  BlockedActivations view;
};

int64_t Quantize(const CpuKernels& kernels, const ActivationPass& pass, Output& output) {
  return kernels.quantize(pass, output.view, 0, output.view.blocks().count(),
                          output.scratch.data());
}

// `output` holds what QuantizeActivations makes of `transformed`.
void CheckOutput(const Output& output, const std::vector<float>& transformed) {
  const BlockedActivations& view = output.view;
  std::vector<int8_t> codes(transformed.size());
  std::vector<float> scales(At(output.scales.size()));
  REQUIRE_FALSE(QuantizeActivations(transformed.data(), view.rows, view.columns, 8, view.group,
                                    codes.data(), scales.data()));
  REQUIRE(output.scales.values() == scales);
  const int64_t steps = (view.columns + view.step - 1) / view.step;
  std::vector<int32_t> sums(At(view.rows * steps));
  int64_t wrong = 0;
  for (int64_t m = 0; m < view.rows; ++m) {
    for (int64_t c = 0; c < PaddedDepth(view.columns); ++c) {
      const int8_t code = c < view.columns ? codes[At(m * view.columns + c)] : int8_t{0};
      if (c < view.columns) sums[At(m * steps + c / view.step)] += code;
      if (output.Code(m, c) != code) ++wrong;
    }
  }
  REQUIRE(wrong == 0);
  REQUIRE(output.sums.values() == sums);
}

void CheckPass(Options options, Guard guard) {
  options.guard = guard;
  const Problem problem(options);
  const std::vector<float> transformed = problem.Transformed();
  for (const CpuKernels* kernels : TestedKernels()) {
    CAPTURE(IsaName(kernels->isa), options.rows, options.columns, options.max_rows, options.block,
            static_cast<int>(options.rotation), options.group, options.step);
    Output output(options);
    REQUIRE(Quantize(*kernels, problem.Pass(), output) == -1);
    CheckOutput(output, transformed);
  }
}

void CheckPass(const Options& options) {
  CheckPass(options, Guard::kBefore);
  CheckPass(options, Guard::kBehind);
}

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
  for (const int64_t block : {1, 16, 24, 32, 64, 77, 128, 256}) {
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
  const Options options = {.rows = 10, .columns = 40, .max_rows = 4};  // blocks of 4, 3 and 3
  const Problem problem(options);
  for (const CpuKernels* kernels : TestedKernels()) {
    Output all(options);
    REQUIRE(Quantize(*kernels, problem.Pass(), all) == -1);
    Output part(options);
    REQUIRE(kernels->quantize(problem.Pass(), part.view, 1, 2, part.scratch.data()) == -1);
    for (int64_t m = 0; m < options.rows; ++m) {
      const bool written = m >= 4 && m < 7;
      CHECK(part.scales[m] == (written ? all.scales[m] : -1.0f));
      CHECK(part.sums[m] == (written ? all.sums[m] : -1));
      CHECK(part.Code(m, 39) == (written ? all.Code(m, 39) : 99));
    }
  }
}

TEST_CASE("activation pass: below 2^-100 everything is zero") {
  const Options options = {.rows = 3, .columns = 36};
  Problem problem(options);
  for (int64_t c = 0; c < options.columns; ++c) {
    problem.Set(0, c, 0x1p-100f);
    problem.Set(1, c, std::nextafter(0x1p-100f, 0.0f));
    problem.Set(2, c, -0.0f);
  }
  for (const CpuKernels* kernels : TestedKernels()) {
    Output output(options);
    REQUIRE(Quantize(*kernels, problem.Pass(), output) == -1);
    CHECK(output.scales.values() == std::vector<float>{0x1p-100f / 127, 0, 0});
    CHECK(output.sums.values() == std::vector<int32_t>{127 * 36, 0, 0});
  }
}

TEST_CASE("activation pass: the largest values may be known already") {
  const Options options = {.rows = 6, .columns = 100};
  const Problem problem(options);
  const std::vector<float> rows = problem.Transformed();
  Array<uint32_t> largest(Guard::kBehind, options.rows * 2);
  std::vector<float> scales;
  for (int64_t m = 0; m < options.rows; ++m) {
    float values[2] = {0, 0};
    for (int64_t c = 0; c < options.columns; ++c) {
      values[c / 64] = std::max(values[c / 64], std::abs(rows[At(m * options.columns + c)]));
    }
    // Twice what it is, so that it shows which was taken.
    for (int i = 0; i < 2; ++i) largest[2 * m + i] = std::bit_cast<uint32_t>(2 * values[i]);
    scales.push_back(2 * std::max(values[0], values[1]) / 127);
  }
  ActivationPass pass = problem.Pass();
  pass.largest = largest.data();
  pass.largest_count = 2;
  for (const CpuKernels* kernels : TestedKernels()) {
    Output output(options);
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
  std::vector<Options> all;
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
  for (const Options& options : all) {
    for (const float value : {nan, -nan, infinity, -infinity}) {
      for (const int64_t row : {0, 3, 4, 5, 8}) {
        for (const int64_t column : {int64_t{0}, int64_t{31}, int64_t{64}, columns - 1}) {
          Problem problem(options);
          problem.Set(row, column, value);
          problem.Set(8, 40, value);
          for (const CpuKernels* kernels : TestedKernels()) {
            Output output(options);
            CAPTURE(IsaName(kernels->isa), value, row, column, options.group);
            REQUIRE(Quantize(*kernels, problem.Pass(), output) == row);
          }
        }
      }
    }
  }
}

TEST_CASE("activation pass: a rotation that overflows is an error too") {
  for (const Rotation rotation : {Rotation::kHadamard, Rotation::kDense}) {
    const Options options = {.rows = 3, .columns = 32, .rotation = rotation, .block = 32};
    Problem problem(options);
    for (int64_t c = 0; c < options.columns; ++c) problem.Set(1, c, 3e38f);
    for (const CpuKernels* kernels : TestedKernels()) {
      Output output(options);
      CHECK(Quantize(*kernels, problem.Pass(), output) == 1);
    }
  }
}

}  // namespace
}  // namespace vlaserve::kernels
