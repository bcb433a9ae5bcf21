// Whole problems of CpuKernels::gemm and CpuKernels::gated_hidden with their reference, for the
// tests and the fuzz program.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/cpu/kernel_table.h"
#include "tests/kernels/gemm_data.h"

namespace vlaserve {

// The first index at which two results differ, -1: nowhere. (A test that fails would print them.)
int64_t FirstDifference(const std::vector<uint32_t>& a, const std::vector<uint32_t>& b);

// In how many pieces a problem is computed, last piece first.
struct Pieces {
  int64_t panels = 1;  // or tiles
  int64_t blocks = 1;
};

enum class Residual { kNone, kPlain, kGated };

struct GemmSpec {
  LayerShape shape;
  kernels::ElementType type = kernels::ElementType::kFloat32;
  bool bias = false;
  Residual residual = Residual::kNone;
  int64_t rows_per_gate = 1;
  bool in_place = false;  // the residual lies where the output goes
  int64_t gap = 0;        // elements between rows of the output
  Codes codes = Codes::kRandom;
  uint32_t seed = 1;
};
std::string Describe(const GemmSpec& spec);

class GemmProblem {
 public:
  explicit GemmProblem(const GemmSpec& spec);

  // Bits of all elements, gaps as they were before; NaNs are all alike.
  std::vector<uint32_t> Reference() const;
  std::vector<uint32_t> Run(const kernels::CpuKernels& cpu, Guard guard, Pieces pieces = {}) const;

 private:
  GemmSpec spec_;
  WeightData weights_;
  IntActivations x_;
  std::vector<float> residual_;  // [rows, N], values of the output's type
  std::vector<float> gate_;      // [rows / rows_per_gate, N], the same
};

struct GatedSpec {
  LayerShape shape;  // out_features: F
  bool bias = false;
  bool smooth = false;
  int64_t block = 1;
  bool dense = false;   // else Hadamard
  bool shared = false;  // one dense rotation for all
  Codes codes = Codes::kRandom;
  uint32_t seed = 1;
};
std::string Describe(const GatedSpec& spec);

struct GatedResult {
  std::vector<uint32_t> hidden;   // bits, NaNs all alike
  std::vector<uint32_t> largest;  // NaN and Inf all alike

  friend bool operator==(const GatedResult&, const GatedResult&) = default;
};

class GatedProblem {
 public:
  explicit GatedProblem(const GatedSpec& spec);

  // By IntLinear and the functions of kernels/transform.h.
  GatedResult Reference() const;
  GatedResult Run(const kernels::CpuKernels& cpu, Guard guard, Pieces pieces = {}) const;

 private:
  GatedSpec spec_;
  WeightData gate_;
  WeightData up_;
  IntActivations x_;
  std::vector<float> smooth_;
  std::vector<float> rotations_;
};

}  // namespace vlaserve
