// Every table of kernels against IntLinear, bit for bit, between guard pages.
#include "kernels/int_gemm.h"

#include <vector>

#include "tests/kernels/gemm_problem.h"
#include "tests/kernels/tested_kernels.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

using kernels::ElementType;

void Check(const GemmSpec& spec, Pieces pieces = {}) {
  const GemmProblem problem(spec);
  const std::vector<uint32_t> expected = problem.Reference();
  for (const kernels::CpuKernels* const cpu : TestedKernels()) {
    for (const Guard guard : {Guard::kBefore, Guard::kBehind}) {
      INFO(kernels::IsaName(cpu->isa) << ": " << Describe(spec));
      REQUIRE(FirstDifference(problem.Run(*cpu, guard, pieces), expected) == -1);
    }
  }
}

GemmSpec Spec(LayerShape shape) {
  GemmSpec spec;
  spec.shape = shape;
  return spec;
}

TEST_CASE("integer GEMM: every pair of groups, both widths, with and without bias") {
  for (const int64_t bits : {4, 8}) {
    for (const int64_t weight_group : {0, 32, 64, 128, 256}) {
      for (const int64_t activation_group : {0, 32, 64, 128, 256}) {
        for (const int64_t columns : {100, 520}) {
          GemmSpec spec = Spec({7, 37, columns, bits, weight_group, activation_group});
          spec.bias = columns == 520;
          Check(spec);
        }
      }
    }
  }
}

TEST_CASE("integer GEMM: every number of rows up to several blocks") {
  for (int64_t rows = 1; rows <= 40; ++rows) {
    Check(Spec({rows, 33, 72, 4, 0, 0}));
    Check(Spec({rows, 33, 72, 8, 32, 32}));
  }
}

TEST_CASE("integer GEMM: every number of features around a panel") {
  for (int64_t features = 1; features <= 66; ++features) {
    GemmSpec spec = Spec({3, features, 40, features % 2 == 0 ? 4 : 8, 32, 0});
    spec.bias = true;
    spec.residual = Residual::kGated;
    spec.rows_per_gate = 3;
    Check(spec);
    spec.type = ElementType::kBFloat16;
    Check(spec);
  }
}

TEST_CASE("integer GEMM: every number of inputs around a run of the inner loop") {
  for (int64_t columns = 1; columns <= 140; ++columns) {
    Check(Spec({5, 32, columns, 4, 0, 0}));
    Check(Spec({5, 32, columns, 8, 0, 0}));
    Check(Spec({5, 32, columns, 4, 32, 64}));
  }
}

TEST_CASE("integer GEMM: residual, gate, gaps, in place, both outputs") {
  for (const ElementType type : {ElementType::kFloat32, ElementType::kBFloat16}) {
    for (const Residual residual : {Residual::kNone, Residual::kPlain, Residual::kGated}) {
      for (const bool in_place : {false, true}) {
        GemmSpec spec = Spec({26, 45, 96, 4, 0, 0});
        spec.type = type;
        spec.residual = residual;
        spec.rows_per_gate = 13;
        spec.in_place = in_place;
        spec.gap = in_place ? 5 : 0;
        if (residual == Residual::kNone && in_place) continue;
        Check(spec);
        spec.bias = true;
        spec.gap = 11;
        Check(spec);
      }
    }
  }
}

TEST_CASE("integer GEMM: the largest codes of either sign") {
  for (const int64_t bits : {4, 8}) {
    for (uint32_t seed = 1; seed <= 10; ++seed) {
      GemmSpec spec = Spec({9, 40, 1100, bits, seed % 2 == 0 ? 0 : 128, 0});
      spec.codes = Codes::kExtreme;
      spec.seed = seed;
      Check(spec);
    }
  }
  // The largest K that is allowed.
  for (const int64_t bits : {4, 8}) {
    GemmSpec spec = Spec({2, 3, 65536, bits, 0, 0});
    spec.codes = Codes::kExtreme;
    Check(spec);
  }
}

TEST_CASE("integer GEMM: any division into pieces gives the same bytes") {
  GemmSpec spec = Spec({67, 200, 160, 4, 64, 32});
  spec.bias = true;
  for (const int64_t panels : {1, 2, 3, 7}) {
    for (const int64_t blocks : {1, 2, 5}) Check(spec, {panels, blocks});
  }
}

// NaN and Inf do not come from codes, but from scales, bias and residual they pass through.
TEST_CASE("integer GEMM: bfloat16 outputs keep NaN and Inf") {
  const int64_t features = 3;
  const WeightData weights({1, features, 32, 4, 0, 0}, Codes::kRandom, 1);
  const IntActivations x = MakeActivations({1, features, 32, 4, 0, 0}, Codes::kRandom, 2);
  const GuardedWeights panels(weights, Guard::kBehind);
  // The second NaN would round up to -0, the last value up to Inf.
  const std::vector<uint32_t> bias = {0x7F800001u, 0xFFFFFFFFu, 0x7F7FFFFFu};
  for (const kernels::CpuKernels* const cpu : TestedKernels()) {
    INFO(kernels::IsaName(cpu->isa));
    const GuardedActivations blocked(x, 32, cpu->max_rows, Guard::kBehind);
    std::vector<float> bias_values(At(features));
    std::memcpy(bias_values.data(), bias.data(), bias.size() * sizeof(float));
    std::vector<uint16_t> out(At(features));
    kernels::IntGemm problem;
    problem.x = blocked.view();
    problem.weights = panels.view();
    problem.out.data = out.data();
    problem.out.type = ElementType::kBFloat16;
    problem.out.stride = features;
    problem.out.bias = bias_values.data();
    cpu->gemm(problem, 0, 1, 0, 1);
    CHECK((out[0] & 0x7FC0u) == 0x7FC0u);
    CHECK((out[1] & 0x7FC0u) == 0x7FC0u);
    CHECK((out[2] & 0x7FFFu) == 0x7F80u);
  }
}

}  // namespace
}  // namespace vlaserve
