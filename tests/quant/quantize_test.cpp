// The pass as a whole, on the tiny policies of the golden folder.
#include "quant/quantize.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <ATen/Parallel.h>

#include "kernels/isa.h"
#include "model/io/json.h"
#include "tests/quant/quantize_setup.h"
#include "tests/support/golden.h"
#include "tests/support/matchers.h"

namespace vlaserve {
namespace {

int64_t CountGroup(const QuantSummary& summary, const std::string& group) {
  return std::count_if(
      summary.layers.begin(), summary.layers.end(),
      [&](const QuantizedLayerInfo& layer) { return layer.layer.group.starts_with(group); });
}

// Flips one bit in the middle of a stored tensor.
void DamageTensor(const std::string& archive, const std::string& golden_folder,
                  const std::string& tensor) {
  const SafetensorsFile checkpoint = OpenGoldenTensors(golden_folder + "/model.safetensors");
  const TensorView& view = GoldenTensor(checkpoint, tensor);
  std::fstream file(archive, std::ios::in | std::ios::out | std::ios::binary);
  const std::string content((std::istreambuf_iterator<char>(file)),
                            std::istreambuf_iterator<char>());
  const std::string bytes(reinterpret_cast<const char*>(view.bytes.data()), view.bytes.size());
  const size_t at = content.find(bytes);
  REQUIRE(at != std::string::npos);
  const size_t middle = at + bytes.size() / 2;
  file.clear();
  file.seekp(static_cast<std::streamoff>(middle));
  file.put(static_cast<char>(content[middle] ^ 4));
  REQUIRE(file.good());
}

double RelativeDifference(const std::vector<double>& a, const std::vector<double>& b) {
  double largest = 0;
  for (const double value : b) largest = std::max(largest, std::abs(value));
  return MaxAbsDiff(a, b) / largest;
}

}  // namespace

TEST_CASE("A second start finds every pack in the cache and acts the same (golden policies)") {
  size_t cases = 0;
  for (const std::string& folder : GoldenModelFolders()) {
    INFO(folder);
    Setup setup(folder);
    const std::vector<double> float_actions = setup.FloatActions();
    const QuantSummary first = RequireSummary(setup.Quantize(IntConfig(kAll)));
    CHECK(!first.layers.empty());
    CHECK(first.CountFrom(PackSource::kBuilt) == static_cast<int64_t>(first.layers.size()));
    CHECK(setup.progress.size() == first.layers.size());
    const std::vector<double> actions = setup.Actions();
    const QuantSummary second = RequireSummary(setup.Quantize(IntConfig(kAll)));
    CHECK(second.CountFrom(PackSource::kCache) == static_cast<int64_t>(second.layers.size()));
    CHECK(second.layers.size() == first.layers.size());
    CHECK(setup.Actions() == actions);
    CHECK(setup.warnings.empty());
    CHECK(actions != float_actions);
    for (const QuantizedLayerInfo& layer : second.layers) {
      CHECK(layer.kernel == kernels::IsaName(kernels::CurrentIsa().isa));
      CHECK(layer.pack_bytes > 0);
      CHECK(layer.engine_bytes == layer.pack_bytes);
      CHECK(layer.source_bytes >= 2 * layer.layer.linear.in_features);
    }
    ++cases;
  }
  ReportGoldenCases("quantized policies, twice", cases);
}

// With one number of threads at a time: float32 matrix products of LibTorch depend on it.
TEST_CASE("Every instruction set acts the same, to the bit (golden)") {
  size_t cases = 0;
  const int threads = at::get_num_threads();
  for (const std::string& folder : GoldenModelFolders()) {
    INFO(folder);
    Setup setup(folder);
    for (const int64_t bits : {4, 8}) {
      QuantConfig config = IntConfig(kAll);
      config.layer.weight.bits = bits;
      for (const int count : {1, 2}) {
        at::set_num_threads(count);
        setup.isa = kernels::Isa::kPortable;
        RequireSummary(setup.Quantize(config));
        const std::vector<double> expected = setup.Actions();
        for (const kernels::Isa isa : kernels::RunnableIsas()) {
          INFO(kernels::IsaName(isa));
          setup.isa = isa;
          const QuantSummary summary = RequireSummary(setup.Quantize(config));
          CHECK(summary.layers.front().kernel == kernels::IsaName(isa));
          CHECK(setup.Actions() == expected);
        }
      }
    }
    ++cases;
  }
  at::set_num_threads(threads);
  ReportGoldenCases("instruction sets", cases);
}

TEST_CASE("All fusions are found, each can be left out, and actions hardly change (golden)") {
  size_t cases = 0;
  for (const std::string& folder : GoldenModelFolders()) {
    INFO(folder);
    Setup setup(folder);
    const QuantSummary fused = RequireSummary(setup.Quantize(IntConfig(kAll)));
    REQUIRE(fused.fusions.size() == kAllFusions.size());
    for (const FusionSummary& fusion : fused.fusions) {
      INFO(fusion.name);
      CHECK(fusion.fused == fusion.possible);
      CHECK(fusion.fused > 0);
    }
    const std::vector<double> actions = setup.Actions();
    QuantConfig config = IntConfig(kAll);
    config.fuse.clear();
    CHECK(RequireSummary(setup.Quantize(config)).fusions.empty());
    const std::vector<double> apart = setup.Actions();
    CHECK(RelativeDifference(actions, apart) < 2e-2);
    CHECK(actions != apart);
    config.fuse = {Fusion::kResidual};
    const QuantSummary residuals = RequireSummary(setup.Quantize(config));
    REQUIRE(residuals.fusions.size() == 1);
    CHECK(residuals.fusions.front().name == "residual");
    CHECK(RelativeDifference(setup.Actions(), apart) < 2e-2);
    ++cases;
  }
  ReportGoldenCases("fusions", cases);
}

TEST_CASE(
    "Layers that a wider selection shares with a narrower one are not packed again (golden)") {
  size_t cases = 0;
  for (const std::string& folder : GoldenModelFolders()) {
    INFO(folder);
    Setup setup(folder);
    const QuantSummary llm = RequireSummary(setup.Pack(IntConfig({"llm.attn", "llm.mlp"})));
    const auto shared = static_cast<int64_t>(llm.layers.size());
    CHECK(llm.CountFrom(PackSource::kBuilt) == shared);
    const QuantSummary all = RequireSummary(setup.Pack(IntConfig(kAll)));
    CHECK(all.CountFrom(PackSource::kCache) == shared);
    CHECK(all.CountFrom(PackSource::kBuilt) == CountGroup(all, "expert."));
    // What only the activations do with a pack does not change it.
    QuantConfig per_token = IntConfig(kAll);
    per_token.layer.activation.mode = ActivationMode::kDynamicToken;
    const QuantSummary again = RequireSummary(setup.Pack(per_token));
    CHECK(again.CountFrom(PackSource::kBuilt) == 0);
    // What the weights' rounding does, does.
    QuantConfig rtn = IntConfig(kAll);
    rtn.layer.weight.rounding = WeightRounding::kRtn;
    CHECK(RequireSummary(setup.Pack(rtn)).CountFrom(PackSource::kCache) == 0);
    ++cases;
  }
  ReportGoldenCases("shared packs", cases);
}

TEST_CASE("A damaged weight is refused when it is packed and never read from a complete cache") {
  for (const std::string& folder : GoldenModelFolders()) {
    INFO(folder);
    Setup setup(folder);
    RequireSummary(setup.Pack(IntConfig({"llm.attn"})));
    DamageTensor(setup.path(), folder, std::string(kQuery) + ".weight");
    const QuantSummary cached = RequireSummary(setup.Quantize(IntConfig({"llm.attn"})));
    CHECK(cached.CountFrom(PackSource::kBuilt) == 0);
    setup.OpenCache(PackCacheOptions::Mode::kOff);
    for (const bool strict : {true, false}) {
      QuantConfig config = IntConfig({"llm.attn"});
      config.strict = strict;
      const Status status = setup.Quantize(config).status();
      CHECK(status.code() == StatusCode::kUnreadable);
      CHECK_THAT(status.message(), ContainsText(std::string(kQuery) + ".weight"));
      CHECK_THAT(status.message(), ContainsText("SHA-256"));
    }
  }
}

TEST_CASE("Without a cache everything is built in memory and acts the same") {
  const std::string folder = GoldenModelFolders().front();
  Setup setup(folder);
  RequireSummary(setup.Quantize(IntConfig(kAll)));
  const std::vector<double> actions = setup.Actions();
  setup.OpenCache(PackCacheOptions::Mode::kOff);
  const QuantSummary summary = RequireSummary(setup.Quantize(IntConfig(kAll)));
  CHECK(summary.CountFrom(PackSource::kBuiltNotStored) ==
        static_cast<int64_t>(summary.layers.size()));
  CHECK(setup.Actions() == actions);
}

TEST_CASE("What an engine keeps of a weight is counted, not only the pack") {
  Setup setup(GoldenModelFolders().front());
  QuantConfig config = IntConfig(kAll);
  config.engine = Engine::kTransformsOnly;
  config.layer.weight.bits = 0;
  config.layer.activation.bits = 0;
  const QuantSummary summary = RequireSummary(setup.Quantize(config));
  REQUIRE(!summary.layers.empty());
  for (const QuantizedLayerInfo& layer : summary.layers) {
    const LinearInfo& linear = layer.layer.linear;
    // The transformed weight is float32.
    CHECK(layer.engine_bytes - layer.pack_bytes == linear.out_features * linear.in_features * 4);
  }
  CHECK(summary.EngineBytes() > summary.PackedBytes());
  CHECK(RequireSummary(setup.Pack(config)).EngineBytes() == 0);
}

TEST_CASE("int and fake act alike, and not like float (golden)") {
  size_t cases = 0;
  for (const std::string& folder : GoldenModelFolders()) {
    INFO(folder);
    Setup setup(folder);
    const std::vector<double> float_actions = setup.FloatActions();
    QuantConfig config = IntConfig(kAll);
    config.layer.weight.bits = 8;
    RequireSummary(setup.Quantize(config));
    const std::vector<double> from_int = setup.Actions();
    config.engine = Engine::kFake;
    CHECK(RequireSummary(setup.Quantize(config)).CountFrom(PackSource::kBuilt) == 0);
    const std::vector<double> from_fake = setup.Actions();
    CHECK(RelativeDifference(from_int, from_fake) < 1e-2);
    CHECK(RelativeDifference(from_int, float_actions) < 0.1);
    CHECK(from_int != float_actions);
    ++cases;
  }
  ReportGoldenCases("int against fake", cases);
}

TEST_CASE("Smoothing goes into the norms where it can, and the actions stay (golden)") {
  for (const std::string& folder : GoldenModelFolders()) {
    Setup setup(folder);
    QuantConfig config = IntConfig(kAll);
    const QuantSummary plain = RequireSummary(setup.Quantize(config));
    nlohmann::json layers;
    size_t behind_norms = 0;
    for (const QuantizedLayerInfo& layer : plain.layers) {
      const std::string& name = layer.layer.linear.name;
      behind_norms +=
          static_cast<size_t>(!name.ends_with("o_proj") && !name.ends_with("down_proj"));
      std::vector<double> scales;
      for (int64_t c = 0; c < layer.layer.linear.in_features; ++c) {
        scales.push_back(1 + static_cast<double>(c % 5) / 4);
      }
      layers[layer.layer.linear.name] = scales;
    }
    config.layer.transform.smooth = SmoothMode::kFile;
    config.smooth_file = setup.File("smooth.json");
    std::ofstream(config.smooth_file) << nlohmann::json{{"alpha", 0.5}, {"layers", layers}};
    const QuantSummary folding = RequireSummary(setup.Quantize(config));
    const std::vector<double> folded = setup.Actions();
    config.fold = false;
    const QuantSummary dividing = RequireSummary(setup.Quantize(config));
    const std::vector<double> divided = setup.Actions();
    CHECK_THAT(folding.notes.back(),
               ContainsText("norms smooth for " + std::to_string(behind_norms) + " layers"));
    CHECK(folding.notes.size() == dividing.notes.size() + 1);
    CHECK(RelativeDifference(folded, divided) < 1e-2);
  }
}

TEST_CASE("Replaced weights are neither converted nor counted, and the rest is") {
  for (const std::string& folder : GoldenModelFolders()) {
    INFO(folder);
    Setup setup(folder);
    const QuantSummary summary = RequireSummary(setup.Quantize(IntConfig(kAll)));
    std::set<std::string> replaced;
    for (const QuantizedLayerInfo& layer : summary.layers) {
      replaced.insert(layer.layer.linear.name + ".weight");
    }
    int64_t rest = 0;
    for (const auto& [name, digest] : setup.archive().digests()) {
      if (name == "rope_inv_freq" || replaced.count(name) == 1) continue;
      const DType wanted = WantedDtype(name, digest.dtype, setup.run());
      rest += static_cast<int64_t>(digest.bytes / DTypeSize(digest.dtype) * DTypeSize(wanted));
    }
    const std::unique_ptr<TorchPolicy> policy = setup.Policy();
    const LoadSummary& load = policy->model().load_summary();
    CHECK(load.mapped_bytes + load.converted_bytes == rest);
    const Status warmed = policy->WarmUp();
    INFO(warmed.message());
    CHECK(warmed.ok());
  }
}

TEST_CASE("The trace of a lowered policy ends with its actions") {
  for (const std::string& folder : GoldenModelFolders()) {
    INFO(folder);
    Setup setup(folder);
    QuantConfig config = IntConfig(kAll);
    config.engine = Engine::kTransformsOnly;
    RequireSummary(setup.Quantize(config));
    const std::unique_ptr<TorchPolicy> policy = setup.Policy();
    auto prepared = policy->processing().Prepare(TestObservation(policy->settings()));
    REQUIRE(prepared.ok());
    ModelInput input = prepared->input;
    const Geometry& geometry = policy->geometry();
    for (int64_t i = 0; i < geometry.horizon * geometry.action_dim; ++i) {
      input.noise.push_back(static_cast<float>(i % 7) * 0.25F - 0.75F);
    }
    input.num_steps = 3;
    const auto actions = policy->model().SampleActions(input, {}, nullptr);
    const auto trace = policy->model().Trace(input);
    INFO(trace.status().message());
    REQUIRE(actions.ok());
    REQUIRE(trace.ok());
    CHECK(trace->back().name == "x_t.3");
    CHECK(MaxAbsDiff(trace->back().values, *actions) < 1e-4);
  }
}

TEST_CASE("Packing that is interrupted keeps what is finished") {
  Setup setup(GoldenModelFolders().front());
  std::atomic<int> asked = 0;
  setup.interrupt = [&asked] {
    return ++asked > 3 ? Status(StatusCode::kCancelled, "stop") : Status::Ok();
  };
  CHECK(setup.Pack(IntConfig(kAll)).status().code() == StatusCode::kCancelled);
  setup.interrupt = {};
  CHECK(RequireSummary(setup.Pack(IntConfig(kAll))).CountFrom(PackSource::kCache) == 3);
}

}  // namespace vlaserve
