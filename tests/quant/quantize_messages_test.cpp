// What the pass says: what it refuses and by which name, what it prints, what it notes.
#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "tests/quant/quantize_setup.h"
#include "tests/support/golden.h"
#include "tests/support/matchers.h"

namespace vlaserve {
TEST_CASE("What is configured and cannot be applied stops a strict start, naming the key") {
  for (const std::string& folder : GoldenModelFolders()) {
    INFO(folder);
    Setup setup(folder);
    const auto refused = [&](QuantConfig config, const std::string& field,
                             const std::string& text) {
      const Status status = setup.Quantize(config).status();
      INFO(text << " in " << status.message());
      CHECK(status.code() == StatusCode::kInvalidArgument);
      CHECK(status.field() == field);
      CHECK_THAT(status.message(), ContainsText(text));
      config.strict = false;
      const QuantSummary summary = RequireSummary(setup.Quantize(config));
      REQUIRE(!summary.warnings.empty());
      CHECK_THAT(summary.warnings.front(), ContainsText(text));
      return summary;
    };
    QuantConfig nothing = IntConfig({});
    nothing.select.scope = "policy.dit.";
    CHECK(refused(nothing, "quant.select.scope", "policy.dit.").layers.empty());
    CHECK(setup.lines.back() == "[DUQUANT] Total layers replaced: 0");
    CHECK(setup.ActsLikeFloat());

    QuantConfig dead = IntConfig({});
    dead.select.include = "self_attn.q_proj|lm_head";
    dead.layer.transform.rotate_in = RotateIn::kOff;
    const QuantSummary without = refused(dead, "quant.select", "never run");
    CHECK(!without.layers.empty());
    CHECK(without.warnings.size() == 2);  // both stacks' heads

    QuantConfig smooth = IntConfig({"llm.attn"});
    smooth.layer.transform.smooth = SmoothMode::kFile;
    smooth.smooth_file = setup.File("smooth.json");
    std::ofstream(smooth.smooth_file)
        << R"({"alpha": 0.5, "layers": {")" << kQuery << R"(": [1, 2, 3]}})";
    refused(smooth, "quant.transform.smooth.file", "expected");
  }
}

TEST_CASE("A file that the configuration names and that is not there is named with its option") {
  Setup setup(GoldenModelFolders().front());
  const auto refused = [&](const QuantConfig& config, const std::string& key) {
    const Status status = setup.Quantize(config).status();
    CHECK(status.code() == StatusCode::kInvalidArgument);
    CHECK(status.field() == key);
    CHECK_THAT(status.message(), ContainsText(setup.File("absent")));
  };
  QuantConfig smooth = IntConfig({"llm.attn"});
  smooth.layer.transform.smooth = SmoothMode::kFile;
  smooth.smooth_file = setup.File("absent");
  refused(smooth, "quant.transform.smooth.file");
  QuantConfig calibrated = IntConfig({"llm.attn"});
  calibrated.calibration_file = setup.File("absent");
  refused(calibrated, "quant.calibration_file");
}

TEST_CASE("A weight that the archive also reads otherwise is named with the operator") {
  for (const std::string& folder : GoldenModelFolders()) {
    Setup setup(folder);
    QuantConfig config = IntConfig({});
    config.select.layers = {"action_time_mlp_in"};
    config.layer.transform.rotate_in = RotateIn::kOff;
    if (SettingsFor(folder).type != PolicyType::kPi0) continue;
    const Status status = setup.Quantize(config).status();
    CHECK(status.code() == StatusCode::kInvalidArgument);
    CHECK_THAT(status.message(), ContainsText("action_time_mlp_in: cannot be replaced"));
    CHECK_THAT(status.message(), ContainsText("aten::narrow in "));
  }
}

TEST_CASE("A dry run lists and changes nothing; engine off does not even list") {
  Setup setup(GoldenModelFolders().front());
  QuantConfig config = IntConfig(kAll);
  config.dry_run = true;
  CHECK(RequireSummary(setup.Quantize(config)).layers.empty());
  CHECK_THAT(setup.lines.back(), ContainsText("[DUQUANT] Dry-run total layers listed: "));
  CHECK(setup.ActsLikeFloat());
  config.dry_run = false;
  config.engine = Engine::kOff;
  const QuantSummary off = RequireSummary(setup.Quantize(config));
  CHECK(off.linears == static_cast<int64_t>(setup.archive().linears().size()));
  CHECK(setup.lines.empty());
  CHECK(setup.ActsLikeFloat());
}

TEST_CASE("Replaced layers are printed one by one in openpi_duquant's words") {
  Setup setup(GoldenModelFolders().front());
  const QuantSummary summary = RequireSummary(setup.Quantize(IntConfig({"llm.attn"})));
  const size_t count = summary.layers.size();
  REQUIRE(setup.lines.size() == count + 3);
  CHECK(setup.lines[1] == "[DUQUANT] Matched Linear layers: " + std::to_string(count));
  for (size_t i = 0; i < count; ++i) {
    const LinearInfo& linear = summary.layers[i].layer.linear;
    CHECK_THAT(setup.lines[2 + i],
               ContainsText("[DUQUANT][REPLACED] " + linear.name + ": Linear("));
  }
  CHECK(setup.lines.back() == "[DUQUANT] Total layers replaced: " + std::to_string(count));
}

TEST_CASE("What is stored wider, or left as it is, is said in one line") {
  Setup setup(GoldenModelFolders().front());
  QuantConfig config = IntConfig({"llm.attn"});
  config.layer.weight.bits = 6;
  config.select.per_layer_wbits = {{kQuery, 0}};
  const QuantSummary summary = RequireSummary(setup.Quantize(config));
  const auto noted = [&](const std::string& text) {
    return std::any_of(summary.notes.begin(), summary.notes.end(), [&](const std::string& note) {
      return note.find(text) != std::string::npos;
    });
  };
  CHECK(noted("quant.weight.bits 6: stored in 8 bits in " + std::to_string(summary.layers.size()) +
              " layers"));
  CHECK(noted("quant.weight.bits 0: 1 layer left as they are"));
  CHECK(std::none_of(
      summary.layers.begin(), summary.layers.end(),
      [](const QuantizedLayerInfo& layer) { return layer.layer.linear.name == kQuery; }));
}

}  // namespace vlaserve
