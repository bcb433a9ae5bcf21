// Every table's gated_hidden against IntLinear and kernels/transform.h, bit for bit, between guard
// pages.
#include "kernels/int_gemm.h"
#include "tests/kernels/gemm_problem.h"
#include "tests/kernels/tested_kernels.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

void Check(const GatedSpec& spec, Pieces pieces = {}) {
  const GatedProblem problem(spec);
  const GatedResult expected = problem.Reference();
  for (const kernels::CpuKernels* const cpu : TestedKernels()) {
    for (const Guard guard : {Guard::kBefore, Guard::kBehind}) {
      INFO(kernels::IsaName(cpu->isa) << ": " << Describe(spec));
      const GatedResult result = problem.Run(*cpu, guard, pieces);
      REQUIRE(FirstDifference(result.hidden, expected.hidden) == -1);
      REQUIRE(FirstDifference(result.largest, expected.largest) == -1);
    }
  }
}

GatedSpec Spec(LayerShape shape, int64_t block) {
  GatedSpec spec;
  spec.shape = shape;
  spec.block = block;
  return spec;
}

TEST_CASE("gated hidden row: without rotation, every number of features around a panel") {
  for (int64_t features = 1; features <= 66; ++features) {
    GatedSpec spec = Spec({5, features, 48, 4, 0, 0}, 1);
    spec.bias = features % 2 == 0;
    spec.smooth = features % 3 == 0;
    Check(spec);
  }
}

TEST_CASE("gated hidden row: every Hadamard block") {
  for (int64_t block = 2; block <= 256; block *= 2) {
    for (const int64_t bits : {4, 8}) {
      GatedSpec spec = Spec({14, 3 * block, 40, bits, 32, 0}, block);
      spec.smooth = bits == 8;
      spec.bias = true;
      Check(spec);
    }
  }
}

TEST_CASE("gated hidden row: dense blocks, their own and one for all, a short last one") {
  for (const int64_t block : {4, 16, 32, 64, 128}) {
    for (const bool shared : {false, true}) {
      GatedSpec spec = Spec({9, 3 * block + (shared ? 0 : 3), 40, 4, 0, 32}, block);
      spec.dense = true;
      spec.shared = shared;
      spec.smooth = true;
      Check(spec);
    }
  }
}

TEST_CASE("gated hidden row: groups, extreme codes, many rows") {
  for (const int64_t rows : {1, 12, 13, 40}) {
    for (const int64_t group : {0, 32, 128}) {
      GatedSpec spec = Spec({rows, 128, 200, 4, group, 0}, 64);
      spec.codes = Codes::kExtreme;
      Check(spec);
    }
  }
}

TEST_CASE("gated hidden row: any division into pieces gives the same bytes") {
  for (const int64_t tiles : {1, 3}) {
    for (const int64_t blocks : {1, 2, 4}) {
      Check(Spec({50, 192, 64, 4, 0, 0}, 64), {tiles, blocks});
    }
  }
}

}  // namespace
}  // namespace vlaserve
