// Every table of kernels against float64, between guard pages.
#include "kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "tests/kernels/attention_problem.h"
#include "tests/kernels/tested_kernels.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

using kernels::ElementType;

constexpr float kMask = -2.3819763e38F;
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int64_t kAll = int64_t{1} << 40;

// Largest difference beyond what rounding the output costs; NaN stands for infinity.
double Error(const std::vector<float>& out, const std::vector<double>& expected, ElementType type) {
  const double rounding = type == ElementType::kBFloat16 ? 0x1p-8 : 0x1p-23;
  double worst = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    const double error = std::abs(out[i] - expected[i]) - rounding * std::abs(expected[i]);
    if (!(error <= worst)) worst = std::isnan(error) ? kInfinity : error;
  }
  return worst;
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

void Check(const AttentionProblem& problem) {
  const std::vector<double> expected = problem.Reference();
  for (const kernels::CpuKernels* const cpu : TestedKernels()) {
    INFO(kernels::IsaName(cpu->isa) << ": " << Describe(problem.spec));
    const std::vector<float> out = problem.Run(*cpu, Guard::kBehind, kAll);
    REQUIRE(out.size() == expected.size());
    CHECK(Error(out, expected, problem.spec.type) < 2e-6);
    CHECK(SameBits(out, problem.Run(*cpu, Guard::kBefore, kAll)));
  }
}

void CheckBothTypes(AttentionSpec spec) {
  for (const ElementType type : {ElementType::kFloat32, ElementType::kBFloat16}) {
    spec.type = type;
    Check(AttentionProblem(spec));
  }
}

AttentionSpec Spec(int64_t batch, int64_t heads, int64_t kv_heads, int64_t queries, int64_t keys,
                   int64_t head_dim) {
  return {.batch = batch,
          .heads = heads,
          .kv_heads = kv_heads,
          .queries = queries,
          .keys = keys,
          .head_dim = head_dim};
}

}  // namespace

TEST_CASE("attention: the shapes of prefix, denoise steps and vision") {
  CheckBothTypes(Spec(1, 8, 1, 60, 60, 256));   // more rows than a block has
  CheckBothTypes(Spec(1, 8, 1, 10, 139, 256));  // several blocks of keys
  CheckBothTypes(Spec(2, 3, 3, 40, 40, 72));
}

TEST_CASE("attention: every number of keys and head sizes around a vector and a panel") {
  for (int64_t keys = 1; keys <= 40; ++keys) CheckBothTypes(Spec(1, 2, 1, 4, keys, 24));
  for (int64_t head_dim = 1; head_dim <= 70; ++head_dim) {
    CheckBothTypes(Spec(1, 1, 1, 5, 9, head_dim));
  }
}

TEST_CASE("attention: every number of rows around a tile") {
  for (int64_t queries = 1; queries <= 26; ++queries)
    CheckBothTypes(Spec(1, 1, 1, queries, 19, 40));
}

TEST_CASE("attention: query heads share KV heads in order") {
  CheckBothTypes(Spec(2, 6, 2, 3, 21, 16));
  CheckBothTypes(Spec(2, 6, 3, 3, 21, 16));
}

TEST_CASE("attention: strided views") {
  AttentionSpec spec = Spec(2, 4, 2, 7, 33, 20);
  spec.row_gap = 3;
  CheckBothTypes(spec);
  spec.interleaved = true;
  CheckBothTypes(spec);
}

TEST_CASE("attention: biases of every shape and type") {
  for (const BiasShape shape :
       {BiasShape::kOneRow, BiasShape::kPerQuery, BiasShape::kPerBatch, BiasShape::kPerHead}) {
    for (const ElementType bias_type : {ElementType::kFloat32, ElementType::kBFloat16}) {
      AttentionSpec spec = Spec(2, 4, 2, 5, 150, 16);
      spec.bias = shape;
      spec.bias_type = bias_type;
      CheckBothTypes(spec);
    }
  }
}

TEST_CASE("attention: masked keys count nothing, whatever they hold") {
  for (const float mask : {kMask, -kInfinity}) {
    AttentionSpec spec = Spec(1, 2, 1, 6, 300, 16);
    spec.bias = BiasShape::kPerQuery;
    AttentionProblem problem(spec);
    // The first block of keys as a whole, and every third key of the others.
    for (int64_t query = 0; query < spec.queries; ++query) {
      for (int64_t key = 0; key < spec.keys; ++key) {
        if (key < 140 || key % 3 == 0) problem.BiasAt(0, 0, query, key) = mask;
      }
    }
    Check(problem);
    AttentionProblem other = problem;
    for (int64_t key = 0; key < spec.keys; ++key) {
      if (key >= 140 && key % 3 != 0) continue;
      for (int64_t d = 0; d < spec.head_dim; ++d) {
        const auto i = static_cast<size_t>(key * spec.head_dim + d);
        other.k[i] = 3;
        other.v[i] = 1e30F;
      }
    }
    for (const kernels::CpuKernels* const cpu : TestedKernels()) {
      INFO(kernels::IsaName(cpu->isa) << ", mask " << mask);
      CHECK(
          SameBits(problem.Run(*cpu, Guard::kBehind, kAll), other.Run(*cpu, Guard::kBehind, kAll)));
    }
  }
}

TEST_CASE("attention: a row that masks every key gives their mean; with -inf, 0") {
  AttentionSpec spec = Spec(1, 2, 1, 3, 200, 12);
  spec.bias = BiasShape::kPerQuery;
  AttentionProblem problem(spec);
  for (int64_t key = 0; key < spec.keys; ++key) problem.BiasAt(0, 0, 1, key) = kMask;
  Check(problem);
  for (int64_t key = 0; key < spec.keys; ++key) problem.BiasAt(0, 0, 1, key) = -kInfinity;
  for (const kernels::CpuKernels* const cpu : TestedKernels()) {
    const std::vector<float> out = problem.Run(*cpu, Guard::kBehind, kAll);
    for (size_t i = 0; i < out.size(); ++i) {
      const bool masked = i / static_cast<size_t>(spec.heads * spec.head_dim) == 1;
      CHECK((out[i] == 0) == masked);
    }
  }
}

TEST_CASE("attention: NaN comes through, and only where it is read") {
  const AttentionSpec spec = Spec(1, 2, 1, 9, 150, 24);
  const std::vector<float> payloads = {std::numeric_limits<float>::quiet_NaN(),
                                       -std::numeric_limits<float>::quiet_NaN()};
  for (const float nan : payloads) {
    AttentionProblem in_query(spec);
    in_query.q[static_cast<size_t>(4 * spec.head_dim)] = nan;  // query 4 of head 0
    AttentionProblem in_key(spec);
    in_key.k[static_cast<size_t>(149 * spec.head_dim)] = nan;
    AttentionProblem in_value(spec);
    in_value.v[static_cast<size_t>(20 * spec.head_dim + 7)] = nan;
    for (const kernels::CpuKernels* const cpu : TestedKernels()) {
      INFO(kernels::IsaName(cpu->isa));
      const std::vector<float> query = in_query.Run(*cpu, Guard::kBehind, kAll);
      const std::vector<float> key = in_key.Run(*cpu, Guard::kBehind, kAll);
      const std::vector<float> value = in_value.Run(*cpu, Guard::kBehind, kAll);
      const auto size = static_cast<size_t>(spec.head_dim);
      for (size_t i = 0; i < query.size(); ++i) {
        REQUIRE(std::isnan(query[i]) == (i / size == 4 * 2));
        REQUIRE(std::isnan(key[i]));
        REQUIRE(std::isnan(value[i]) == (i % size == 7));
      }
    }
  }
}

TEST_CASE("attention: large logits neither overflow nor vanish") {
  AttentionSpec spec = Spec(1, 1, 1, 7, 170, 32);
  AttentionProblem problem(spec);
  for (float& value : problem.q) value *= 100;
  const std::vector<double> expected = problem.Reference();
  for (const kernels::CpuKernels* const cpu : TestedKernels()) {
    INFO(kernels::IsaName(cpu->isa));
    // Logits of some hundreds carry float32's rounding into the exponent.
    CHECK(Error(problem.Run(*cpu, Guard::kBehind, kAll), expected, spec.type) < 2e-3);
  }
}

TEST_CASE("attention: any split of the work items gives the same bits") {
  for (const ElementType type : {ElementType::kFloat32, ElementType::kBFloat16}) {
    AttentionSpec spec = Spec(2, 4, 2, 37, 140, 72);
    spec.type = type;
    spec.bias = BiasShape::kPerBatch;
    const AttentionProblem problem(spec);
    for (const kernels::CpuKernels* const cpu : TestedKernels()) {
      INFO(kernels::IsaName(cpu->isa));
      const std::vector<float> whole = problem.Run(*cpu, Guard::kBehind, kAll);
      for (const int64_t piece : {1, 2, 3, 5, 8, 13}) {
        CHECK(SameBits(problem.Run(*cpu, Guard::kBehind, piece), whole));
      }
    }
  }
}

TEST_CASE("attention: the exponential keeps its error bound") {
  // One query, two keys: the second one's weight is e / (1 + e) with e = exp(logit difference).
  AttentionSpec spec = Spec(1, 1, 1, 1, 2, 1);
  AttentionProblem problem(spec);
  problem.k = {0, 1};
  problem.v = {0, 1};
  for (const kernels::CpuKernels* const cpu : TestedKernels()) {
    INFO(kernels::IsaName(cpu->isa));
    double worst = 0;
    for (float x = -86.9F; x < 0; x += 0.0371F) {
      problem.q = {x};
      const double out = problem.Run(*cpu, Guard::kBehind, kAll)[0];
      const double e = std::exp(double{x});
      const double expected = e / (1 + e);
      worst = std::max(worst, std::abs(out / expected - 1) / (4e-7 + 7e-8 * std::abs(double{x})));
    }
    CHECK(worst < 1);
    problem.q = {-88};
    CHECK(problem.Run(*cpu, Guard::kBehind, kAll)[0] == 0);
  }
}

TEST_CASE("attention: work items fill 2 and 16 threads") {
  const auto items = [](int64_t batch, int64_t heads, int64_t kv_heads, int64_t queries) {
    kernels::Attention problem;
    problem.batch = batch;
    problem.heads = heads;
    problem.kv_heads = kv_heads;
    problem.queries = queries;
    return kernels::AttentionItems(problem);
  };
  CHECK(items(1, 8, 1, 10) == 14);
  CHECK(items(1, 8, 1, 51) == 68);
  CHECK(items(1, 8, 1, 816) == 1088);
  CHECK(items(2, 16, 16, 256) == 2 * 16 * 43);
  CHECK(items(1, 1, 1, 1) == 1);
}

}  // namespace vlaserve
