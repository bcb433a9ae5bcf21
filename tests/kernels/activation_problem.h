// Activation passes over random values, and what they must give by kernels/transform.h and
// kernels/quantize.h.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "kernels/activation_pass.h"
#include "kernels/cpu/kernel_table.h"
#include "kernels/panels.h"
#include "kernels/quantize.h"
#include "kernels/transform.h"
#include "tests/kernels/guarded_memory.h"
#include "tests/kernels/random_values.h"
#include "tests/kernels/tested_kernels.h"
#include "tests/support/catch.h"

namespace vlaserve::kernels {

inline size_t At(int64_t index) { return static_cast<size_t>(index); }

// Guarded, with the operations that the tests need.
template <class T>
class GuardedVector {
 public:
  GuardedVector(Guard guard, int64_t size, T value = T{}) : memory_(size, guard) {
    std::fill_n(memory_.data(), memory_.size(), value);
  }
  GuardedVector(Guard guard, const std::vector<T>& values)
      : GuardedVector(guard, static_cast<int64_t>(values.size())) {
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

struct ActivationSpec {
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
class ActivationProblem {
 public:
  explicit ActivationProblem(const ActivationSpec& spec)
      : spec_(spec),
        x_(spec.guard, (spec.rows - 1) * (spec.columns + spec.beyond) + spec.columns),
        bfloat16_(spec.guard, x_.size()),
        factor_(spec.guard, RandomFloats(2, FactorRows() * spec.columns)),
        shift_(spec.guard, RandomFloats(3, FactorRows() * spec.columns)),
        smooth_(spec.guard, RandomFloats(4, spec.columns)),
        permutation_(spec.guard, spec.columns),
        rotations_(spec.guard, RandomFloats(5, RotationValues())) {
    const std::vector<float> values = RandomFloats(1, x_.size());
    for (int64_t i = 0; i < x_.size(); ++i) Set(i, values[At(i)]);
    for (int64_t c = 0; c < spec.columns; ++c) permutation_[c] = static_cast<int32_t>(c);
    std::shuffle(permutation_.data(), permutation_.data() + spec.columns, std::mt19937(6));
  }

  const ActivationSpec& spec() const { return spec_; }
  void Set(int64_t row, int64_t column, float value) {
    Set(row * (spec_.columns + spec_.beyond) + column, value);
  }

  ActivationPass Pass() const {
    ActivationPass pass;
    const bool wide = spec_.type == ElementType::kFloat32;
    pass.x = wide ? static_cast<const void*>(x_.data()) : bfloat16_.data();
    pass.type = spec_.type;
    pass.stride = spec_.columns + spec_.beyond;
    pass.norm = spec_.norm;
    pass.eps = 1e-6f;
    if (spec_.factor) pass.factor = factor_.data();
    if (spec_.shift) pass.shift = shift_.data();
    pass.rows_per_factor = spec_.rows_per_factor;
    if (spec_.smooth) pass.inverse_smooth = smooth_.data();
    if (spec_.permute) pass.permutation = permutation_.data();
    pass.block = spec_.block;
    if (spec_.rotation == Rotation::kDense || spec_.rotation == Rotation::kShared) {
      pass.rotations = rotations_.data();
    }
    pass.shared_rotation = spec_.rotation == Rotation::kShared;
    return pass;
  }

  // What the pass quantizes, by the definitions.
  std::vector<float> Transformed() const {
    const int64_t rows = spec_.rows;
    const int64_t columns = spec_.columns;
    std::vector<float> y(At(rows * columns));
    for (int64_t m = 0; m < rows; ++m) {
      float* const row = y.data() + m * columns;
      std::copy_n(x_.data() + m * (columns + spec_.beyond), columns, row);
      Normalize(m, row);
    }
    if (spec_.smooth) ScaleColumns(y.data(), rows, columns, {smooth_.data(), At(columns)});
    std::vector<float> before = y;
    if (spec_.permute) {
      PermuteColumns(before.data(), y.data(), rows, columns, {permutation_.data(), At(columns)});
      before = y;
    }
    if (spec_.rotation == Rotation::kHadamard) {
      HadamardRows(y.data(), rows, columns, spec_.block);
    } else if (spec_.rotation != Rotation::kNone) {
      RotateRows(before.data(), y.data(), rows, columns, spec_.block,
                 {rotations_.data(), At(rotations_.size())}, spec_.rotation == Rotation::kShared);
    }
    return y;
  }

 private:
  int64_t FactorRows() const {
    return (spec_.rows + spec_.rows_per_factor - 1) / spec_.rows_per_factor;
  }
  int64_t RotationValues() const {
    const int64_t block = spec_.block;
    const int64_t last = spec_.columns % block;
    return spec_.rotation == Rotation::kShared
               ? block * block
               : spec_.columns / block * block * block + last * last;
  }

  void Set(int64_t index, float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    bfloat16_[index] = static_cast<uint16_t>(bits >> 16);
    if (spec_.type == ElementType::kBFloat16) value = std::bit_cast<float>(bits & 0xFFFF0000u);
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
    if (spec_.norm == NormKind::kNone) return;
    const int64_t columns = spec_.columns;
    const auto count = static_cast<float>(columns);
    if (spec_.norm == NormKind::kLayer) {
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
    const int64_t offset = m / spec_.rows_per_factor * columns;
    for (int64_t c = 0; c < columns; ++c) {
      row[c] *= r;
      if (spec_.factor) row[c] *= factor_[offset + c];
      if (spec_.shift) row[c] += shift_[offset + c];
    }
  }

  ActivationSpec spec_;
  GuardedVector<float> x_;
  GuardedVector<uint16_t> bfloat16_;
  GuardedVector<float> factor_;
  GuardedVector<float> shift_;
  GuardedVector<float> smooth_;
  GuardedVector<int32_t> permutation_;
  GuardedVector<float> rotations_;
};

// What a pass writes, its arrays guarded too.
struct ActivationOutput {
  explicit ActivationOutput(const ActivationSpec& o)
      : codes(o.guard, o.rows * PaddedDepth(o.columns), int8_t{99}),
        scales(o.guard, o.rows * GroupCount(o.columns, o.group), -1.0f),
        sums(o.guard, o.rows * ((o.columns + Step(o) - 1) / Step(o)), -1),
        scratch(o.guard, ActivationScratch(o.columns, o.max_rows), -1.0f),
        view{o.rows,     o.columns,    o.group,       Step(o),
             o.max_rows, codes.data(), scales.data(), sums.data()} {}

  static int64_t Step(const ActivationSpec& o) { return o.step == 0 ? o.columns : o.step; }

  // Code of one row and column, columns up to PaddedDepth.
  int8_t Code(int64_t row, int64_t column) const {
    const RowBlocks blocks = view.blocks();
    int64_t block = 0;
    while (row >= blocks.begin(block) + blocks.size(block)) ++block;
    const int64_t quad = column / 4 * blocks.size(block) + row - blocks.begin(block);
    return codes[blocks.begin(block) * PaddedDepth(view.columns) + 4 * quad + column % 4];
  }

  GuardedVector<int8_t> codes;
  GuardedVector<float> scales;
  GuardedVector<int32_t> sums;
  GuardedVector<float> scratch;
  BlockedActivations view;
};

inline int64_t Quantize(const CpuKernels& kernels, const ActivationPass& pass,
                        ActivationOutput& output) {
  return kernels.quantize(pass, output.view, 0, output.view.blocks().count(),
                          output.scratch.data());
}

// `output` holds what QuantizeActivations makes of `transformed`.
inline void CheckOutput(const ActivationOutput& output, const std::vector<float>& transformed) {
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

inline void CheckPass(ActivationSpec spec, Guard guard) {
  spec.guard = guard;
  const ActivationProblem problem(spec);
  const std::vector<float> transformed = problem.Transformed();
  for (const CpuKernels* kernels : TestedKernels()) {
    CAPTURE(IsaName(kernels->isa), spec.rows, spec.columns, spec.max_rows, spec.block,
            static_cast<int>(spec.rotation), spec.group, spec.step);
    ActivationOutput output(spec);
    REQUIRE(Quantize(*kernels, problem.Pass(), output) == -1);
    CheckOutput(output, transformed);
  }
}

inline void CheckPass(const ActivationSpec& spec) {
  CheckPass(spec, Guard::kBefore);
  CheckPass(spec, Guard::kBehind);
}

}  // namespace vlaserve::kernels
