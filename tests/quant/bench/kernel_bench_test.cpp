// The benchmark on small shapes: that everything is measured and computes what it should. Speed is
// no subject here.
#include "quant/bench/kernel_bench.h"

#include <string>
#include <vector>

#include "quant/bench/contender.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

KernelBenchOptions SmallOptions(std::vector<BenchShape> shapes) {
  KernelBenchOptions options;
  options.threads = 2;
  options.rounds = 2;
  options.shapes = std::move(shapes);
  options.rows = {1, 13};
  options.stream_bytes = 1 << 16;
  options.contender_seconds = 60;
  return options;
}

// All were measured, but for LibTorch's that this processor has no instructions for.
void CheckMeasured(const CaseResult& result, const std::vector<std::string>& names) {
  std::vector<std::string> found;
  for (const ContenderResult& contender : result.contenders) {
    INFO(result.shape.name << ", " << result.rows << " rows: " << contender.name);
    found.push_back(contender.name);
    if (!contender.missing.empty()) {
      CHECK(contender.name == "linear_bf16_prepacked");
      continue;
    }
    CHECK(contender.rounds == 2);
    CHECK(contender.best_seconds > 0);
    CHECK(contender.best_seconds <= contender.median_seconds);
    CHECK(contender.operations > 0);
    // 8-bit codes and bfloat16 are not exact, and all that is compared has one of them or neither.
    const bool rounded =
        contender.arithmetic != Arithmetic::kFloat32 && contender.name != "linear_f32";
    CHECK((contender.error > 1e-4) == rounded);
    CHECK(contender.error < 0.08);
  }
  CHECK(found == names);
}

TEST_CASE("every contender of every kind of shape is measured and agrees with float32") {
  const auto report =
      BenchKernels(SmallOptions({{"linear", LinearShape{192, 96}},
                                 {"mlp", GatedMlpShape{128, 192}},
                                 {"attention", AttentionShape{2, 4, 2, 5, 70, 32}}}),
                   {});
  INFO(report.status().message());
  REQUIRE(report.ok());
  CHECK(report->threads == 2);
  REQUIRE(report->cases.size() == 5);
  CheckMeasured(report->cases[0], LinearContenders());
  CheckMeasured(report->cases[1], LinearContenders());
  CheckMeasured(report->cases[2], GatedMlpContenders());
  CheckMeasured(report->cases[3], GatedMlpContenders());
  CheckMeasured(report->cases[4], AttentionContenders());
  CHECK(report->cases[1].rows == 13);
  CHECK(report->cases[4].rows == 5);
  CHECK(report->cases[1].contenders[0].operations == 2.0 * 13 * 192 * 96);
  CHECK(report->cases[3].contenders[0].operations == 3 * 2.0 * 13 * 128 * 192);
  CHECK(report->cases[4].contenders[0].operations == 2 * 2.0 * 2 * 4 * 5 * 70 * 32);
}

TEST_CASE("a rotation that the columns cannot have is missing, with the reason") {
  KernelBenchOptions options = SmallOptions({{"linear", LinearShape{200, 40}}});
  options.contenders = {"w4_g128+"};
  options.rows = {3};
  const auto report = BenchKernels(options, {});
  REQUIRE(report.ok());
  const std::vector<ContenderResult>& contenders = report->cases.at(0).contenders;
  REQUIRE(contenders.size() == 3);
  CHECK(contenders[0].rounds == 2);
  CHECK(contenders[1].name == "w4_g128+hadamard64");
  CHECK(contenders[1].rounds == 0);
  CHECK(contenders[1].missing == "blocks of 64 do not divide 200 columns");
  CHECK(contenders[2].name == "w4_g128+dense64");
  CHECK(contenders[2].rounds == 2);
}

TEST_CASE("what would take too long is left out, and says so") {
  KernelBenchOptions options = SmallOptions({{"linear", LinearShape{64, 64}}});
  options.contenders = {"linear_f32"};
  options.rows = {40};
  options.contender_seconds = 1e-9;
  const auto report = BenchKernels(options, {});
  REQUIRE(report.ok());
  const ContenderResult& contender = report->cases.at(0).contenders.at(0);
  CHECK(contender.rounds == 0);
  CHECK(contender.missing.find("contender-seconds") != std::string::npos);
}

TEST_CASE("contenders are chosen by the beginnings of their names") {
  KernelBenchOptions options = SmallOptions({{"linear", LinearShape{64, 64}}});
  options.contenders = {"w8_row+q", "int_mm"};
  options.rows = {2};
  const auto report = BenchKernels(options, {});
  REQUIRE(report.ok());
  std::vector<std::string> names;
  for (const ContenderResult& contender : report->cases.at(0).contenders) {
    names.push_back(contender.name);
  }
  CHECK(names == std::vector<std::string>{"w8_row+quantize", "int_mm_kn", "int_mm_nk"});

  options.contenders = {"w8_row", "w5"};
  const auto unknown = BenchKernels(options, {});
  REQUIRE_FALSE(unknown.ok());
  CHECK(unknown.status().code() == StatusCode::kInvalidArgument);
  CHECK(unknown.status().message().find("\"w5\"") != std::string::npos);

  options.contenders = {"sdpa"};
  const auto nobody = BenchKernels(options, {});
  REQUIRE_FALSE(nobody.ok());
  CHECK(nobody.status().code() == StatusCode::kInvalidArgument);
}

TEST_CASE("events come in order, and a round that is refused ends it") {
  KernelBenchOptions options = SmallOptions({{"linear", LinearShape{64, 64}}});
  options.contenders = {"linear_f32"};
  options.rows = {2};
  std::string order;
  KernelBenchEvents events;
  events.case_ready = [&](const BenchShape& shape, int64_t rows) {
    order += shape.name + std::to_string(rows) + ";";
  };
  events.before_round = [&] {
    order += "before;";
    return true;
  };
  events.after_round = [&](int round) { order += std::to_string(round) + ";"; };
  REQUIRE(BenchKernels(options, events).ok());
  CHECK(order == "linear2;before;1;before;2;");

  events.before_round = [] { return false; };
  const auto stopped = BenchKernels(options, events);
  REQUIRE_FALSE(stopped.ok());
  CHECK(stopped.status().code() == StatusCode::kCancelled);
}

}  // namespace
}  // namespace vlaserve
