#include "quant/report/report_text.h"

#include <limits>

#include <nlohmann/json.hpp>

#include "tests/support/catch.h"
#include "tests/support/matchers.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)

namespace {

LayerReport Layer(const std::string& name, double nmse) {
  LayerReport layer;
  layer.info.layer.linear = {name, 64, 32, false, true};
  layer.info.pack_bytes = 1000;
  layer.was_run = true;
  layer.weight_nmse = nmse / 2;
  layer.output_nmse = nmse;
  layer.output_cosine = 0.75;
  return layer;
}

QuantReport Report() {
  QuantReport report;
  report.summary.engine = Engine::kInt;
  report.summary.preset = "best_w4a8";
  report.layers = {Layer("a.worst", 0.5), Layer("b.middle", 0.25), Layer("c.best", 0.125)};
  report.layers.back().was_run = false;
  report.chunks = {{"case0", 0.5, 0.25, 0.875}};
  report.chunk_summary = Summarize(report.chunks);
  return report;
}

}  // namespace

TEST_CASE("the report's table shows the worst layers and says how many it leaves out") {
  const std::string text = QuantReportText(Report(), 2);
  CHECK_THAT(text, ContainsText("best_w4a8"));
  CHECK_THAT(text, ContainsText("a.worst"));
  CHECK_THAT(text, ContainsText("b.middle"));
  CHECK(text.find("c.best") == std::string::npos);
  CHECK_THAT(text, ContainsText("and 1 better"));
  CHECK_THAT(text, ContainsText("case0"));
  const std::string all = QuantReportText(Report(), 0);
  CHECK_THAT(all, ContainsText("c.best"));
  CHECK_THAT(all, ContainsText("not reached"));
}

TEST_CASE("the JSON report has every layer and chunk") {
  const nlohmann::json json = QuantReportJson(Report());
  CHECK(json.at("engine") == "int");
  REQUIRE(json.at("layers").size() == 3);
  CHECK(json["layers"][0]["name"] == "a.worst");
  CHECK(json["layers"][0]["output_nmse"] == 0.5);
  CHECK(json["layers"][0]["weight_nmse"] == 0.25);
  CHECK(json["layers"][0]["pack_bytes"] == 1000);
  CHECK(!json["layers"][2].contains("output_nmse"));
  CHECK(json.at("chunks")[0].at("cosine") == 0.875);
  CHECK(json.at("chunk_summary").at("cosine_min") == 0.875);
}

TEST_CASE("numbers that are not finite stay visible in JSON") {
  QuantReport report = Report();
  report.layers[0].output_nmse = std::numeric_limits<double>::infinity();
  report.layers[1].output_nmse = std::numeric_limits<double>::quiet_NaN();
  const nlohmann::json json = nlohmann::json::parse(QuantReportJson(report).dump());
  CHECK(json["layers"][0]["output_nmse"] == "inf");
  CHECK(json["layers"][1]["output_nmse"] == "nan");
}

TEST_CASE("equivalence passes only if something was compared and nothing departs") {
  EquivalenceReport report;
  report.tolerance = 1e-4;
  CHECK(!report.passed());
  report.chunks = {{"case0", 1e-5, 1e-6, 1}};
  CHECK(!report.passed());  // no layer
  report.summary.layers.emplace_back();
  CHECK(report.passed());
  CHECK_THAT(EquivalenceText(report), ContainsText("passed: 1 layers"));
  CHECK(EquivalenceJson(report).at("passed") == true);
  report.chunks.push_back({"case1", std::numeric_limits<double>::quiet_NaN(), 0, 1});
  CHECK(!report.passed());
  CHECK_THAT(EquivalenceText(report), ContainsText("FAILED"));
}
