// Which linears, and what each of them gets.
#include "quant/select/select.h"

#include <string>
#include <vector>

#include "tests/support/catch.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)

namespace {

const std::string kLlm = "paligemma_with_expert.paligemma.model.language_model.layers.";
const std::string kExpert = "paligemma_with_expert.gemma_expert.model.layers.";

std::vector<LinearInfo> Linears() {
  return {{kLlm + "0.self_attn.q_proj", 64, 64, false, true},
          {kLlm + "0.mlp.down_proj", 4304, 64, false, true},
          {kExpert + "0.self_attn.q_proj", 33, 64, false, true},
          {kExpert + "0.mlp.up_proj", 64, 128, false, true},
          {"action_out_proj", 64, 32, true, true}};
}

QuantConfig Config() {
  QuantConfig config;
  config.engine = Engine::kInt;
  return config;
}

Selection SelectOk(const QuantConfig& config) {
  auto selection = Select(Linears(), config);
  INFO(selection.status().message());
  REQUIRE(selection.ok());
  return *std::move(selection);
}

std::vector<std::string> Sites(const QuantConfig& config) {
  std::vector<std::string> sites;
  for (const SelectedLayer& layer : SelectOk(config).layers) sites.push_back(layer.site);
  return sites;
}

Status ErrorOf(const QuantConfig& config) {
  const auto selection = Select(Linears(), config);
  REQUIRE(!selection.ok());
  CHECK(selection.status().code() == StatusCode::kInvalidArgument);
  return selection.status();
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("scope, include, exclude and groups each take away") {
  QuantConfig config = Config();
  CHECK(Sites(config) == Names{"llm.0.q", "llm.0.down", "expert.0.q", "expert.0.up"});
  config.select.scope = kExpert;
  CHECK(Sites(config) == Names{"expert.0.q", "expert.0.up"});
  config.select.scope = "";
  config.select.include = "q_proj|down";
  CHECK(Sites(config) == Names{"llm.0.q", "llm.0.down", "expert.0.q"});
  config.select.exclude = "mlp";
  CHECK(Sites(config).size() == 3);  // not in use yet
  config.select.exclude_nothing = false;
  CHECK(Sites(config) == Names{"llm.0.q", "expert.0.q"});
  config.select.groups = {"expert.attn", "llm.mlp"};
  CHECK(Sites(config) == Names{"expert.0.q"});
}

TEST_CASE("an empty exclude expression is found in every name") {
  QuantConfig config = Config();
  config.select.exclude_nothing = false;
  CHECK(SelectOk(config).matched == 0);
}

TEST_CASE("exact names win over expressions and groups, and keep the model's order") {
  QuantConfig config = Config();
  config.select.layers = {kExpert + "0.mlp.up_proj", kLlm + "0.mlp.down_proj"};
  config.select.include = "nothing";
  config.select.groups = {"heads"};
  CHECK(Sites(config) == Names{"llm.0.down", "expert.0.up"});
  config.select.scope = kExpert;
  CHECK(Sites(config) == Names{"expert.0.up"});
}

TEST_CASE("the action head is matched and dropped again unless it is asked for") {
  QuantConfig config = Config();
  CHECK(SelectOk(config).matched == 5);
  CHECK(SelectOk(config).layers.size() == 4);
  config.select.include_action_head = true;
  CHECK(SelectOk(config).layers.back().site == "action_out_proj");
  CHECK(SelectOk(config).layers.back().group == "heads");
}

TEST_CASE("per-layer bits win over site overrides, longer globs over shorter ones given before") {
  QuantConfig config = Config();
  const auto bits = [](int64_t value) {
    return [value](LayerSettings& layer) { layer.weight.bits = value; };
  };
  config.sites = {{"expert.*", {bits(8)}}, {"expert.*.up", {bits(6)}}};
  config.select.per_layer_wbits[kExpert + "0.self_attn.q_proj"] = 2;
  const Selection selection = SelectOk(config);
  CHECK(selection.layers[0].settings.weight.bits == 4);
  CHECK(selection.layers[2].settings.weight.bits == 2);
  CHECK(selection.layers[3].settings.weight.bits == 6);
}

TEST_CASE("16 and 32 bits mean not quantized and stay in what was configured") {
  QuantConfig config = Config();
  config.select.per_layer_wbits[kLlm + "0.self_attn.q_proj"] = 32;
  const SelectedLayer layer = SelectOk(config).layers[0];
  CHECK(layer.settings.weight.bits == 0);
  CHECK(layer.configured.weight.bits == 32);
  config.engine = Engine::kLegacyExact;
  config.layer.activation.mode = ActivationMode::kStaticChannel;
  config.compat_bugs.wbits32_scale1 = true;
  CHECK(SelectOk(config).layers[0].settings.weight.bits == 32);
}

TEST_CASE("blocks are narrowed to a power of two that divides the columns") {
  CHECK(NarrowBlock(4304, 64) == 16);
  CHECK(NarrowBlock(33, 64) == 1);
  CHECK(NarrowBlock(1152, 256) == 128);
  CHECK(NarrowBlock(64, 64) == 64);
  QuantConfig config = Config();
  config.layer.transform.block = 64;
  CHECK(SelectOk(config).layers[1].settings.transform.block == 16);
  CHECK(SelectOk(config).layers[1].configured.transform.block == 64);
  CHECK(SelectOk(config).layers[1].settings.transform.block_out == 64);
  config.layer.transform.rotate_in = RotateIn::kWeightSvd;
  CHECK(SelectOk(config).layers[1].settings.transform.block == 64);
}

TEST_CASE("names and values that fit nothing are errors naming the option") {
  QuantConfig config = Config();
  config.select.groups = {"llm.atn"};
  CHECK(ErrorOf(config).field() == "quant.select.groups");
  CHECK(ErrorOf(config).message().find("llm.attn") != std::string::npos);

  config = Config();
  config.select.layers = {"q_proj"};
  CHECK(ErrorOf(config).field() == "quant.select.layers");
  config.select.allow_unknown_names = true;
  CHECK(SelectOk(config).matched == 0);
  CHECK(SelectOk(config).notes.size() == 1);

  config = Config();
  config.select.per_layer_wbits["layers.0"] = 8;
  CHECK(ErrorOf(config).field() == "quant.select.per_layer_wbits");

  config = Config();
  config.select.per_layer_wbits[kLlm + "0.self_attn.q_proj"] = 12;
  CHECK(ErrorOf(config).field() == "quant.select.per_layer_wbits");
  CHECK(ErrorOf(config).message().find("q_proj") != std::string::npos);

  config = Config();
  config.sites = {{"llm.*.dwon", {}}};
  CHECK(ErrorOf(config).field() == "quant.sites");

  config = Config();
  config.sites = {{"llm.*.down", {[](LayerSettings& layer) {
                     layer.activation.mode = ActivationMode::kStaticTensor;
                   }}}};
  CHECK(ErrorOf(config).field() == "quant.act.mode");
  CHECK(ErrorOf(config).message().find("down_proj") != std::string::npos);
}
