// The report on quantization, on the golden folder's policies.
#include <algorithm>
#include <cmath>

#include "quant/report/quant_report.h"
#include "tests/quant/report/calibrated.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"
#include "tests/support/matchers.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)

namespace {

QuantConfig Config(int64_t bits) {
  QuantConfig config;
  config.preset = "test";
  config.engine = Engine::kInt;
  config.layer.weight.bits = bits;
  config.layer.transform.block = 16;
  config.select.groups = {"llm.attn", "llm.mlp", "expert.attn", "expert.mlp"};
  return config;
}

QuantReport Report(CalibratedPolicy& policy, const QuantConfig& config) {
  QuantizeInputs inputs;
  inputs.config = &config;
  inputs.cache = &policy.cache();
  auto report = MakeQuantReport(policy.opener(), {}, inputs, policy.inputs());
  INFO(report.status().message());
  REQUIRE(report.ok());
  return *std::move(report);
}

}  // namespace

TEST_CASE("golden: every packed layer and every chunk is compared with float") {
  size_t cases = 0;
  for (const std::string& folder : GoldenModelFolders()) {
    INFO(folder);
    CalibratedPolicy policy(folder, 2);
    const QuantReport four = Report(policy, Config(4));
    CHECK(four.archive_sha256 == policy.Open()->archive_sha256());
    CHECK(four.layers.size() == four.summary.layers.size());
    CHECK(std::is_sorted(four.layers.begin(), four.layers.end(),
                         [](const LayerReport& a, const LayerReport& b) {
                           return a.was_run && b.was_run && a.output_nmse > b.output_nmse;
                         }));
    CHECK(four.layers.front().was_run);
    for (const LayerReport& layer : four.layers) {
      INFO(layer.name());
      CHECK(layer.weight_nmse > 1e-6);
      CHECK(layer.weight_nmse < 0.05);
      if (!layer.was_run) continue;
      CHECK(layer.output_nmse > 1e-6);
      CHECK(layer.output_nmse < 0.2);
      CHECK(layer.output_cosine > 0.9);
      ++cases;
    }
    REQUIRE(four.chunks.size() == policy.inputs().size());
    CHECK(four.chunk_summary.max_abs_diff > 0);

    // More bits, less error, in every layer.
    const QuantReport eight = Report(policy, Config(8));
    for (const LayerReport& fine : eight.layers) {
      const auto coarse =
          std::find_if(four.layers.begin(), four.layers.end(),
                       [&](const LayerReport& layer) { return layer.name() == fine.name(); });
      REQUIRE(coarse != four.layers.end());
      CHECK(fine.weight_nmse < coarse->weight_nmse);
    }
    CHECK(eight.chunk_summary.mean_abs_diff < four.chunk_summary.mean_abs_diff);
  }
  ReportGoldenCases("layer reports", cases);
}

TEST_CASE("golden: layers are judged on the inputs of the float policy") {
  size_t cases = 0;
  for (const std::string& folder : GoldenModelFolders()) {
    CalibratedPolicy policy(folder, 1);
    // transforms_only packs do not change a layer, so its outputs are the float layer's.
    QuantConfig config = Config(4);
    config.engine = Engine::kTransformsOnly;
    const QuantReport report = Report(policy, config);
    for (const LayerReport& layer : report.layers) {
      INFO(layer.name());
      CHECK(layer.weight_nmse == 0);
      CHECK(layer.output_nmse < 1e-9);
      ++cases;
    }
    CHECK(report.chunk_summary.max_abs_diff < 1e-4);
  }
  ReportGoldenCases("transformed layers", cases);
}

TEST_CASE("a report without observations or without quantized layers is refused") {
  CalibratedPolicy policy(GoldenModelFolders().at(0), 1);
  QuantConfig config = Config(4);
  QuantizeInputs inputs;
  inputs.config = &config;
  inputs.cache = &policy.cache();
  const Status none = MakeQuantReport(policy.opener(), {}, inputs, {}).status();
  CHECK(none.code() == StatusCode::kInvalidArgument);
  CHECK_THAT(none.message(), ContainsText("observations"));
  config.engine = Engine::kOff;
  const Status off = MakeQuantReport(policy.opener(), {}, inputs, policy.inputs()).status();
  CHECK(off.code() == StatusCode::kInvalidArgument);
  CHECK(off.field() == "quant.preset");
}
