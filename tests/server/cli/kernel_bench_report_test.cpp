#include "server/cli/kernel_bench_report.h"

#include "tests/support/catch.h"

namespace vlaserve {
namespace {

ContenderResult Measured(const std::string& name, Arithmetic arithmetic, double seconds) {
  ContenderResult result;
  result.name = name;
  result.arithmetic = arithmetic;
  result.operations = 4e9;
  result.weight_bytes = 1e9;
  result.rounds = 3;
  result.best_seconds = seconds;
  result.median_seconds = 2 * seconds;
  result.error = 0.5;
  return result;
}

// 2 GOP in one case; the prepacked contender cannot run.
KernelBenchReport SmallReport() {
  KernelBenchReport report;
  report.threads = 2;
  report.peaks = {"multiply", 800e9, "fma", 200e9, 40e9};
  ContenderResult missing;
  missing.name = "linear_bf16_prepacked";
  missing.arithmetic = Arithmetic::kBFloat16;
  missing.missing = "no such instruction";
  report.cases = {{{"llm.o", LinearShape{64, 32}},
                   51,
                   {Measured("w4_row", Arithmetic::kInteger, 0.01),
                    Measured("w4_row+hadamard64", Arithmetic::kInteger, 0.0125),
                    Measured("linear_f32", Arithmetic::kFloat32, 0.04),
                    Measured("linear_bf16", Arithmetic::kBFloat16, 0.02), missing}}};
  return report;
}

TEST_CASE("JSON of the kernel benchmark holds every figure") {
  const nlohmann::ordered_json json = KernelBenchJson(SmallReport());
  CHECK(json["isa"] == "portable");
  CHECK(json["threads"] == 2);
  CHECK(json["peaks"]["integer_gops"] == Approx(800));
  CHECK(json["peaks"]["memory_gbps"] == Approx(40));
  const auto& result = json["cases"].at(0);
  CHECK(result["shape"] == "llm.o");
  CHECK(result["sizes"] == "64 -> 32");
  CHECK(result["rows"] == 51);
  const auto& ours = result["contenders"].at(0);
  CHECK(ours["name"] == "w4_row");
  CHECK(ours["arithmetic"] == "integer");
  CHECK(ours["best_ms"] == Approx(10));
  CHECK(ours["median_ms"] == Approx(20));
  CHECK(ours["gops"] == Approx(400));
  CHECK(ours["of_peak"] == Approx(0.5));
  CHECK(ours["of_memory"] == Approx(2.5));
  CHECK(ours["to_float32"] == Approx(4));
  CHECK(ours["to_bfloat16"] == Approx(2));
  CHECK(ours["error"] == Approx(0.5));
  const auto& float32 = result["contenders"].at(2);
  CHECK(float32["of_peak"] == Approx(0.5));
  CHECK(float32["to_float32"] == Approx(1));
  CHECK(result["contenders"].at(3)["of_peak"].is_null());
  CHECK(result["contenders"].at(4) == nlohmann::ordered_json{{"name", "linear_bf16_prepacked"},
                                                             {"arithmetic", "bfloat16"},
                                                             {"missing", "no such instruction"}});
}

TEST_CASE("without baselines and peaks there are no ratios") {
  KernelBenchReport report = SmallReport();
  report.peaks = {};
  report.cases[0].contenders.resize(1);
  const auto json = KernelBenchJson(report);
  const auto& ours = json["cases"].at(0)["contenders"].at(0);
  for (const char* key : {"of_peak", "of_memory", "to_float32", "to_bfloat16"}) {
    INFO(key);
    CHECK(ours[key].is_null());
  }
  CHECK(KernelBenchMarkdown(report).find("| 400 | - | - |") != std::string::npos);
}

TEST_CASE("the table for people names who is missing, and why") {
  const std::string text = KernelBenchText(SmallReport());
  CHECK(text.find("llm.o (64 -> 32), 51 rows") != std::string::npos);
  CHECK(text.find("linear_bf16_prepacked: no such instruction") != std::string::npos);
  CHECK(text.find("2 threads") != std::string::npos);
}

TEST_CASE("Markdown of the kernel benchmark") {
  const std::string text = KernelBenchMarkdown(SmallReport());
  CHECK(text.find("| llm.o (64 -> 32) | 51 | 400 | 50 | 250 | 320 | - | - | 100 | 200 | 3.20 | "
                  "1.60 |\n") != std::string::npos);
  CHECK(text.find("gated MLP") == std::string::npos);
}

}  // namespace
}  // namespace vlaserve
