// One way to compute a case of the kernel benchmark. Includes LibTorch.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "quant/bench/kernel_bench.h"

namespace vlaserve {

struct Contender {
  std::string name;
  double operations = 0;    // of one call; a multiplication and an addition count as two
  double weight_bytes = 0;  // of one copy of the weights: what a call must read
  Arithmetic arithmetic = Arithmetic::kFloat32;
  // Computes once, with the copy of the weights that belongs to this number.
  std::function<void(int64_t call)> run;
  // float32 result of the last call of run, in the shape of `expected`; and what it should be.
  std::function<at::Tensor()> result;
  std::function<at::Tensor()> expected;
  double tolerance = 0;  // largest relative error that rounding explains
  std::string missing;   // not empty: why it cannot run here; the rest is empty then
};

// One shape with its weights.
class BenchCase {
 public:
  virtual ~BenchCase() = default;
  // Contenders that options.contenders wants, for so many rows (queries, for attention). They share
  // buffers of the case: valid until the next call; run one after another, and result right after
  // run. Throws c10::Error.
  virtual std::vector<Contender> Contenders(int64_t rows) = 0;
};

std::unique_ptr<BenchCase> MakeLinearCase(const LinearShape& shape,
                                          const KernelBenchOptions& options);
std::unique_ptr<BenchCase> MakeGatedMlpCase(const GatedMlpShape& shape,
                                            const KernelBenchOptions& options);
std::unique_ptr<BenchCase> MakeAttentionCase(const AttentionShape& shape,
                                             const KernelBenchOptions& options);

// Names of all contenders, in the order in which Contenders gives them.
std::vector<std::string> LinearContenders();
std::vector<std::string> GatedMlpContenders();
std::vector<std::string> AttentionContenders();

}  // namespace vlaserve
