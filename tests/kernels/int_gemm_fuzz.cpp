// Compares the kernels of every instruction set that this processor runs with the portable
// definitions on random problems:
//
//   int_gemm_fuzz [--seconds S] [--seed N]
//
// Prints what it is about to compute when a result differs, and the seed to start from there; exits
// with 1 then. An access outside of an array ends the program by a signal: the last line printed,
// every second, names a seed shortly before.

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <limits>
#include <random>
#include <sstream>
#include <string>

#include "kernels/activation_pass.h"
#include "kernels/quantize.h"
#include "tests/kernels/gemm_problem.h"
#include "tests/kernels/random_values.h"
#include "tests/kernels/tested_kernels.h"

namespace vlaserve {
namespace {

using kernels::ElementType;

class Random {
 public:
  explicit Random(uint32_t seed) : bits_(seed) {}

  int64_t Between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(bits_()) % (high - low + 1);
  }
  bool Coin() { return Between(0, 1) == 1; }
  // Small values more often than large ones.
  int64_t Size(int64_t high) { return Between(1, Between(1, high)); }
  template <typename T, size_t kCount>
  T OneOf(const T (&values)[kCount]) {
    return values[Between(0, kCount - 1)];
  }
  uint32_t Seed() { return static_cast<uint32_t>(bits_()); }

 private:
  std::mt19937 bits_;
};

constexpr int64_t kGroups[] = {0, 32, 64, 128, 256};

LayerShape RandomShape(Random& random) {
  LayerShape shape;
  shape.rows = random.Size(70);
  shape.out_features = random.Size(200);
  shape.in_features = random.Size(1200);
  shape.bits = random.Coin() ? 4 : 8;
  shape.weight_group = random.OneOf(kGroups);
  shape.activation_group = random.OneOf(kGroups);
  return shape;
}

Pieces RandomPieces(Random& random) { return {random.Between(1, 3), random.Between(1, 3)}; }

// The description of what differs, or nothing.
std::string FuzzGemm(Random& random) {
  GemmSpec spec;
  spec.shape = RandomShape(random);
  spec.type = random.Coin() ? ElementType::kFloat32 : ElementType::kBFloat16;
  spec.bias = random.Coin();
  spec.residual = random.OneOf({Residual::kNone, Residual::kPlain, Residual::kGated});
  spec.rows_per_gate = random.Coin() ? spec.shape.rows : 1;
  spec.in_place = spec.residual != Residual::kNone && random.Coin();
  spec.gap = random.Coin() ? 0 : random.Between(1, 40);
  spec.codes = random.Coin() ? Codes::kRandom : Codes::kExtreme;
  spec.seed = random.Seed();
  const Guard guard = random.Coin() ? Guard::kBefore : Guard::kBehind;
  const Pieces pieces = RandomPieces(random);
  const GemmProblem problem(spec);
  const std::vector<uint32_t> expected = problem.Reference();
  for (const kernels::CpuKernels* const cpu : TestedKernels()) {
    if (problem.Run(*cpu, guard, pieces) != expected) {
      return std::string(kernels::IsaName(cpu->isa)) + " gemm: " + Describe(spec);
    }
  }
  return "";
}

std::string FuzzGatedHidden(Random& random) {
  GatedSpec spec;
  spec.shape = RandomShape(random);
  spec.shape.rows = random.Size(30);
  spec.bias = random.Coin();
  spec.smooth = random.Coin();
  spec.dense = random.Coin();
  spec.shared = spec.dense && random.Coin();
  spec.block = random.OneOf<int64_t>({1, 2, 4, 8, 16, 32, 64, 128, 256});
  if (spec.block > 1 && (!spec.dense || spec.shared)) {
    spec.shape.out_features = spec.block * random.Between(1, 1 + 200 / spec.block);
  }
  spec.codes = random.Coin() ? Codes::kRandom : Codes::kExtreme;
  spec.seed = random.Seed();
  const Guard guard = random.Coin() ? Guard::kBefore : Guard::kBehind;
  const Pieces pieces = RandomPieces(random);
  const GatedProblem problem(spec);
  const GatedResult expected = problem.Reference();
  for (const kernels::CpuKernels* const cpu : TestedKernels()) {
    if (problem.Run(*cpu, guard, pieces) != expected) {
      return std::string(kernels::IsaName(cpu->isa)) + " gated_hidden: " + Describe(spec);
    }
  }
  return "";
}

// Activations quantized by one table, as plain rows.
struct Quantized {
  int64_t bad_row = -1;
  std::vector<int8_t> codes;
  std::vector<float> scales;
  std::vector<int32_t> sums;

  friend bool operator==(const Quantized&, const Quantized&) = default;
};

class PassProblem {
 public:
  explicit PassProblem(Random& random)
      : rows_(random.Size(40)),
        columns_(random.Size(700)),
        group_(random.OneOf(kGroups)),
        step_(kernels::StepColumns(columns_, random.OneOf(kGroups), group_)) {
    pass_.type = random.Coin() ? ElementType::kFloat32 : ElementType::kBFloat16;
    pass_.norm = random.OneOf(
        {kernels::NormKind::kNone, kernels::NormKind::kRms, kernels::NormKind::kLayer});
    pass_.eps = 1e-6f;
    pass_.block = random.OneOf<int64_t>({1, 2, 4, 8, 16, 32, 64, 128, 256});
    const bool dense = pass_.block > 1 && random.Coin();
    pass_.shared_rotation = dense && random.Coin();
    if (pass_.block > 1 && (!dense || pass_.shared_rotation)) {
      columns_ = (columns_ + pass_.block - 1) / pass_.block * pass_.block;
      step_ = kernels::StepColumns(columns_, random.OneOf(kGroups), group_);
    }
    pass_.stride = columns_ + (random.Coin() ? 0 : random.Between(1, 9));
    pass_.rows_per_factor = random.Coin() ? rows_ : 1;
    values_ = RandomFloats(random.Seed(), (rows_ - 1) * pass_.stride + columns_);
    // Zero rows, tiny and huge ones, and now and then one that is not finite.
    const int64_t row = random.Between(0, rows_ - 1) * pass_.stride;
    const float factor = random.OneOf({1.0f, 0.0f, 1e-33f, 1e30f});
    for (int64_t c = 0; c < columns_; ++c) values_[At(row + c)] *= factor;
    if (random.Between(0, 9) == 0) {
      values_[At(row + random.Between(0, columns_ - 1))] =
          random.Coin() ? std::numeric_limits<float>::infinity()
                        : std::numeric_limits<float>::quiet_NaN();
    }
    for (const float value : values_) {
      uint32_t bits = 0;
      std::memcpy(&bits, &value, sizeof(bits));
      halves_.push_back(static_cast<uint16_t>(bits >> 16));
    }
    factor_ = RandomFloats(random.Seed(), rows_ * columns_);
    shift_ = RandomFloats(random.Seed(), rows_ * columns_);
    smooth_ = RandomFloats(random.Seed(), columns_);
    rotations_ = RandomFloats(random.Seed(), (columns_ + pass_.block) * pass_.block);
    for (int32_t c = 0; c < columns_; ++c) permutation_.push_back(c);
    for (int64_t c = 0; c < columns_; ++c) {
      std::swap(permutation_[At(c)], permutation_[At(random.Between(0, columns_ - 1))]);
    }
    if (pass_.norm != kernels::NormKind::kNone && random.Coin()) pass_.factor = factor_.data();
    if (pass_.norm != kernels::NormKind::kNone && random.Coin()) pass_.shift = shift_.data();
    if (random.Coin()) pass_.inverse_smooth = smooth_.data();
    if (random.Coin()) pass_.permutation = permutation_.data();
    if (dense) pass_.rotations = rotations_.data();
  }

  Quantized Run(const kernels::CpuKernels& cpu, Guard guard) const {
    GuardedArray<float> floats(static_cast<int64_t>(values_.size()), guard);
    GuardedArray<uint16_t> halves(static_cast<int64_t>(values_.size()), guard);
    std::copy(values_.begin(), values_.end(), floats.data());
    std::copy(halves_.begin(), halves_.end(), halves.data());
    kernels::ActivationPass pass = pass_;
    pass.x = pass.type == ElementType::kFloat32 ? static_cast<const void*>(floats.data())
                                                : halves.data();
    IntActivations plain;
    plain.rows = rows_;
    plain.columns = columns_;
    plain.group = group_;
    plain.codes.resize(At(rows_ * columns_));
    plain.scales.resize(At(rows_ * GroupCount(columns_, group_)));
    const GuardedActivations out(plain, step_, cpu.max_rows, guard);
    GuardedArray<float> scratch(kernels::ActivationScratch(columns_, cpu.max_rows), guard, 64);
    Quantized result;
    result.bad_row = cpu.quantize(pass, out.view(), 0, out.view().blocks().count(), scratch.data());
    if (result.bad_row >= 0) return result;
    result.codes.resize(plain.codes.size());
    kernels::UnblockCodes(out.view(), result.codes.data());
    result.scales.assign(out.view().scales, out.view().scales + plain.scales.size());
    result.sums.assign(out.view().sums, out.view().sums + rows_ * GroupCount(columns_, step_));
    return result;
  }

  std::string Describe() const {
    std::ostringstream out;
    out << "rows " << rows_ << " columns " << columns_ << " group " << group_ << " step " << step_
        << (pass_.type == ElementType::kFloat32 ? " float32" : " bfloat16") << " norm "
        << static_cast<int>(pass_.norm) << " block " << pass_.block
        << (pass_.rotations != nullptr ? " dense" : "") << (pass_.shared_rotation ? " shared" : "")
        << (pass_.factor != nullptr ? " factor" : "") << (pass_.shift != nullptr ? " shift" : "")
        << (pass_.inverse_smooth != nullptr ? " smooth" : "")
        << (pass_.permutation != nullptr ? " permutation" : "");
    return out.str();
  }

 private:
  int64_t rows_;
  int64_t columns_;
  int64_t group_;
  int64_t step_;
  kernels::ActivationPass pass_;
  std::vector<float> values_;
  std::vector<uint16_t> halves_;
  std::vector<float> factor_;
  std::vector<float> shift_;
  std::vector<float> smooth_;
  std::vector<float> rotations_;
  std::vector<int32_t> permutation_;
};

std::string FuzzQuantize(Random& random) {
  const PassProblem problem(random);
  const Guard guard = random.Coin() ? Guard::kBefore : Guard::kBehind;
  const Quantized expected = problem.Run(kernels::KernelsFor(kernels::Isa::kPortable), guard);
  for (const kernels::CpuKernels* const cpu : TestedKernels()) {
    if (problem.Run(*cpu, guard) != expected) {
      return std::string(kernels::IsaName(cpu->isa)) + " quantize: " + problem.Describe();
    }
  }
  return "";
}

int Fuzz(double seconds, uint32_t first_seed) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  const auto elapsed = [begin] {
    return std::chrono::duration<double>(Clock::now() - begin).count();
  };
  int64_t problems = 0;
  double next_line = 0;
  uint32_t seed = first_seed;
  for (; elapsed() < seconds; ++seed) {
    if (elapsed() >= next_line) {
      std::cout << "seed " << seed << std::endl;
      next_line = elapsed() + 1;
    }
    for (const auto fuzz : {FuzzGemm, FuzzGatedHidden, FuzzQuantize}) {
      Random random(seed);
      const std::string difference = fuzz(random);
      if (!difference.empty()) {
        std::cout << "DIFFERENCE at --seed " << seed << ": " << difference << std::endl;
        return 1;
      }
      ++problems;
    }
  }
  std::cout << problems << " problems without a difference, seeds " << first_seed << " to "
            << seed - 1 << ", instruction sets";
  for (const kernels::CpuKernels* const cpu : TestedKernels()) {
    std::cout << ' ' << kernels::IsaName(cpu->isa);
  }
  std::cout << std::endl;
  return problems > 0 ? 0 : 1;
}

}  // namespace
}  // namespace vlaserve

int main(int argc, char** argv) {
  double seconds = 10;
  uint32_t seed = 1;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 < argc && name == "--seconds") {
      seconds = std::strtod(argv[i + 1], nullptr);
    } else if (i + 1 < argc && name == "--seed") {
      seed = static_cast<uint32_t>(std::strtoul(argv[i + 1], nullptr, 10));
    } else {
      std::cerr << "usage: int_gemm_fuzz [--seconds S] [--seed N]\n";
      return 2;
    }
  }
  return vlaserve::Fuzz(seconds, seed);
}
