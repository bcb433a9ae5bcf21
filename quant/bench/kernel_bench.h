// Measures the CPU kernels against what LibTorch offers, on the shapes of the policies
// (`vlaserve bench kernels`). Free of LibTorch headers.
//
// All contenders of a case (a shape and a number of rows) live in one process and take turns: round
// by round, each computes for a short time. A slow moment of the machine so hits all of them, and
// best and median of the rounds can be compared. Weights rotate over copies that are larger than
// the caches. What a contender computes is compared with float32 before it is measured.
//
// Contenders of a linear, by name:
//   w4_row, w4_row_bf16           our W4A8, a scale per row and token; y in float32, bfloat16
//   w4_g128, w4_g128_a128         scales per 128 columns; those of x per token, per 128 columns
//   w8_row                        our W8A8
//     NAME                        the GEMM alone, on codes that are there
//     NAME+quantize, NAME+hadamard64, NAME+dense64
//                                 with the activation pass in front: no rotation, blocks of 64
//   linear_f32, linear_bf16       at::linear
//   linear_bf16_prepacked         oneDNN with weights in its own layout (mkldnn::_linear_pointwise)
//   int_mm_kn, int_mm_nk          at::_int_mm on int8 codes, weights [K, N] or [N, K]; no scales
// Of a gated MLP: w4_row+quantize …, which is everything from x to y, and the linear_ ones.
// Of attention: kernel_*, sdpa_*, matmul_* (the query heads of a KV head folded into rows), each
// with f32 and bf16.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/isa.h"
#include "model/io/status.h"
#include "quant/bench/bench_shapes.h"
#include "quant/bench/peaks.h"

namespace vlaserve {

// What a contender multiplies with.
enum class Arithmetic { kInteger, kFloat32, kBFloat16 };

struct KernelBenchOptions {
  int threads = 0;  // 0: LibTorch's choice
  int rounds = 5;
  std::vector<BenchShape> shapes;
  std::vector<int64_t> rows;            // of linears and MLPs; attention brings its own
  std::vector<std::string> contenders;  // names or beginnings of names; empty: all
  int64_t stream_bytes = 0;             // copies of weights together, as far as memory allows
  double turn_seconds = 0;              // a contender's turn, at least one call
  // A contender is left out where one call would take longer (estimated on 32 rows), and takes
  // part in as many rounds as fit into this time; at least one.
  double contender_seconds = 0;
};

struct ContenderResult {
  std::string name;
  Arithmetic arithmetic = Arithmetic::kFloat32;
  double operations = 0;    // of one call
  double weight_bytes = 0;  // that one call must read
  int rounds = 0;           // 0: not measured, see `missing`
  double best_seconds = 0;  // of one call: the best and the median of the rounds' averages
  double median_seconds = 0;
  double error = 0;  // ‖y - ŷ‖ / ‖ŷ‖ against float32 with the same weights
  std::string missing;
};

struct CaseResult {
  BenchShape shape;
  int64_t rows = 0;
  std::vector<ContenderResult> contenders;
};

struct KernelBenchReport {
  kernels::Isa isa = kernels::Isa::kPortable;
  int threads = 0;
  Peaks peaks;
  std::vector<CaseResult> cases;
};

// What happens meanwhile. All may be empty.
struct KernelBenchEvents {
  std::function<void(const std::string& text)> progress;
  std::function<void(const BenchShape& shape, int64_t rows)> case_ready;
  // Before a round; false: stop, without a report (kCancelled).
  std::function<bool()> before_round;
  std::function<void(int round)> after_round;  // 1, 2 …
};

// Uses LibTorch's threads and sets their number. Errors: kInvalidArgument for a contender that no
// case knows; kInternal where a contender's result is not that of float32, within the error that
// its arithmetic explains, or LibTorch fails.
Result<KernelBenchReport> BenchKernels(const KernelBenchOptions& options,
                                       const KernelBenchEvents& events);

}  // namespace vlaserve
