// openpi_duquant's lines. The golden logs are compared in tests/server/golden, with the environment
// that they belong to.
#include "quant/select/log_lines.h"

#include "tests/support/catch.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)

namespace {

using Lines = std::vector<std::string>;

SelectedLayer Layer() {
  SelectedLayer layer;
  layer.linear = {"a.q_proj", 16, 32, false, true};
  layer.configured.transform = {
      SmoothMode::kOff, Permute::kWeightZigzag, RotateIn::kWeightSvd, 64, RotateOut::kRestore, 0};
  layer.settings = layer.configured;
  layer.settings.transform.block = 16;
  return layer;
}

}  // namespace

TEST_CASE("a layer's line prints what was asked for, in the reference's words") {
  QuantConfig config;
  SelectedLayer layer = Layer();
  CHECK(DryRunLine(layer, config) ==
        "[DUQUANT][DRYRUN] a.q_proj: Linear(16->32) W4 A8 perm=True block_in=64 block_out=64 "
        "row_rot=restore");
  layer.configured.transform.block_out = 16;
  layer.configured.transform.permute = Permute::kOff;
  layer.configured.transform.rotate_out = RotateOut::kOff;
  layer.configured.weight.bits = 32;
  CHECK(ReplacedLine(layer, config) ==
        "[DUQUANT][REPLACED] a.q_proj: Linear(16->32) -> DuQuantLinear W32 A8 perm=False "
        "block_in=64 block_out=16 row_rot=0");
  config.compat_bugs.row_rot_none = true;
  CHECK(RowRotationWord(layer, config) == "none");
  config.row_rot_word = "";
  CHECK(RowRotationWord(layer, config).empty());
}

TEST_CASE("no match prints the names there are, and those below the scope without its dots") {
  std::vector<LinearInfo> linears;
  linears.reserve(12);
  for (int i = 0; i < 12; ++i) linears.push_back({"a.l" + std::to_string(i), 1, 1, false, true});
  QuantConfig config;
  config.select.scope = "a..";
  const Lines lines = DryRunLines(linears, config, {});
  REQUIRE(lines.size() == 2 + 2 + 10 + 1 + 5 + 1);
  CHECK(lines[0] == "[DUQUANT] SCOPE filter: 'a..'");
  CHECK(lines[1] == "[DUQUANT] Matched Linear layers: 0");
  CHECK(lines[2] == "[DUQUANT] DEBUG: Total Linear layers in model: 12");
  CHECK(lines[3] == "[DUQUANT] DEBUG: First 10 Linear layer names:");
  CHECK(lines[13] == "[DUQUANT] DEBUG:   a.l9");
  CHECK(lines[14] == "[DUQUANT] DEBUG: Layers matching prefix 'a': 12");
  CHECK(lines[19] == "[DUQUANT] DEBUG:   a.l4");
  CHECK(lines[20] == "[DUQUANT] Dry-run total layers listed: 0");
}

TEST_CASE("without a scope no match prints no help") {
  const Lines lines = SelectionLines({}, {}, {});
  CHECK(lines == Lines{"[DUQUANT] SCOPE filter: ''", "[DUQUANT] Matched Linear layers: 0"});
  CHECK(ReplacedTotalLine(7) == "[DUQUANT] Total layers replaced: 7");
}
