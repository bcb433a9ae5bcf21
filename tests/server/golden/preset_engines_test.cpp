// int against its float oracle, layer by layer, with the settings of every preset.
#include <map>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "model/archive/archive.h"
#include "model/archive/module.h"
#include "model/export/export.h"
#include "quant/engine/make_engine.h"
#include "quant/pack/packer.h"
#include "quant/pass/lower.h"
#include "quant/select/select.h"
#include "server/config/load.h"
#include "server/config/presets.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"
#include "tests/support/temp_dir.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)

namespace {

QuantConfig ConfigOf(const std::string& preset) {
  ConfigSources sources;
  sources.assignments = {"quant.preset=" + preset, "quant.transform.smooth.file=/made/below"};
  if (preset == "openpi_duquant") {
    sources.assignments.push_back("quant.select.scope=paligemma_with_expert.gemma_expert.");
  }
  if (preset != "smoothquant") sources.assignments.erase(sources.assignments.begin() + 1);
  const auto config = LoadConfig(PosixFileSystem(), sources);
  INFO(config.status().message());
  REQUIRE(config.ok());
  return config->config.quant;
}

PackedLayer Pack(const SelectedLayer& layer, const at::Tensor& weight) {
  std::vector<float> smooth;
  if (layer.settings.transform.smooth == SmoothMode::kFile) {
    for (int64_t i = 0; i < weight.size(1); ++i) {
      smooth.push_back(0.5F + static_cast<float>(i % 5) / 4.0F);
    }
  }
  PackRequest request;
  request.name = layer.linear.name;
  request.weight = {weight.const_data_ptr<float>(), static_cast<size_t>(weight.numel())};
  request.out_features = weight.size(0);
  request.in_features = weight.size(1);
  request.settings = layer.settings;
  request.smooth = smooth;
  Result<PackContents> contents = BuildPack(request);
  INFO(contents.status().message());
  REQUIRE(contents.ok());
  return ViewOf(*std::move(contents));
}

at::Tensor Forward(Engine engine, const SelectedLayer& layer, const PackedLayer& pack,
                   const at::Tensor& bias, const at::Tensor& x) {
  EngineInputs inputs;
  inputs.name = layer.linear.name;
  inputs.pack = pack;
  inputs.settings = layer.settings;
  inputs.bias = bias;
  auto made = MakeEngine(engine, inputs);
  INFO(made.status().message());
  REQUIRE(made.ok());
  return (*made)->Forward(x);
}

}  // namespace

TEST_CASE("int equals fake to 1e-5 in every layer of every preset that both can run (golden)") {
  size_t cases = 0;
  const auto folders = PosixFileSystem().List(GoldenDir());
  REQUIRE(folders.ok());
  for (const std::string& folder : *folders) {
    if (!HasGolden(folder + "/cases.safetensors")) continue;
    const nlohmann::json golden = ReadGoldenJson(folder + "/cases.json");
    if (!golden.contains("model_type")) continue;
    const TempDir directory;
    ExportOptions options;
    options.checkpoint = GoldenPath(folder);
    options.tokenizer = GoldenPath("tokenizer/tokenizer.model");
    const auto settings =
        NamedPolicySettings(golden["model_type"] == "pi0" ? "pi0_libero" : "pi05_libero");
    REQUIRE(settings.ok());
    options.policy = *settings;
    options.out = directory.File("policy.pt");
    REQUIRE(ExportPolicy(PosixFileSystem(), options, [](std::string_view) {}).ok());
    const auto archive = Archive::Open(PosixFileSystem(), options.out);
    REQUIRE(archive.ok());
    const auto found = FindLinears((*archive)->module().module);
    REQUIRE(found.ok());
    std::map<std::string, GraphLinear> linears;
    for (const GraphLinear& linear : *found) linears.emplace(linear.name, linear);

    for (const std::string& preset : PresetNames()) {
      const QuantConfig config = ConfigOf(preset);
      if (config.engine != Engine::kInt) continue;
      INFO(folder << ", preset " << preset);
      const auto selection = Select((*archive)->linears(), config);
      REQUIRE(selection.ok());
      REQUIRE(!selection->layers.empty());
      for (const SelectedLayer& layer : selection->layers) {
        INFO(layer.linear.name);
        const GraphLinear& linear = linears.at(layer.linear.name);
        const at::Tensor weight = linear.weight.to(at::kFloat).contiguous();
        const PackedLayer pack = Pack(layer, weight);
        const at::Tensor x = at::sin(at::arange(7 * weight.size(1), at::kFloat) * 0.7)
                                 .mul_(3)
                                 .reshape({7, weight.size(1)});
        const at::Tensor from_int = Forward(Engine::kInt, layer, pack, linear.bias, x);
        const at::Tensor from_fake = Forward(Engine::kFake, layer, pack, linear.bias, x);
        const double scale = from_fake.abs().max().item<double>();
        CHECK((from_int - from_fake).abs().max().item<double>() <= 1e-5 * scale);
      }
      ++cases;
    }
  }
  ReportGoldenCases("presets with int and fake", cases);
}
