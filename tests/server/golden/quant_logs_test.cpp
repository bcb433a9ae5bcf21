// Whole sessions of openpi_duquant, from its environment variables to the lines of a layer's first
// forward and the profile at the end. The files that it writes (`files_written`) are packs of its
// own, which we only read.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "quant/engine/make_engine.h"
#include "quant/engine/observer.h"
#include "quant/pack/packer.h"
#include "quant/select/log_lines.h"
#include "server/config/load.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"

namespace vlaserve {
namespace {

using Json = nlohmann::json;
using Lines = std::vector<std::string>;

// Every call in the sessions takes this long.
constexpr double kSecondsPerCall = 0.00125;
constexpr int64_t kRows = 5;

std::vector<LinearInfo> ReadLinears(const Json& list) {
  std::vector<LinearInfo> linears;
  for (const Json& entry : list) {
    linears.push_back({entry["name"], entry["in_features"], entry["out_features"], entry["bias"],
                       /*live=*/true});
  }
  return linears;
}

// [1, rows, columns], the same numbers on every machine.
at::Tensor Numbers(int64_t rows, int64_t columns) {
  return at::sin(at::arange(rows * columns, at::kFloat)).reshape({1, rows, columns});
}

class Session {
 public:
  explicit Session(const Json& session)
      : session_(session), environment_(session["env"].get<Environment>()) {}

  Lines Run(const std::vector<LinearInfo>& linears) {
    auto loaded = LoadConfig(
        PosixFileSystem(),
        {.assignments = {"quant.engine=legacy_exact", R"(quant.compat_bugs=["first_batch_calib"])"},
         .environment = environment_});
    INFO(loaded.status().message());
    REQUIRE(loaded.ok());
    config_ = loaded->config.quant;
    const auto selection = Select(linears, config_);
    INFO(selection.status().message());
    REQUIRE(selection.ok());
    lines_ = SelectionLines(linears, config_, *selection);
    for (const SelectedLayer& layer : selection->layers) {
      lines_.push_back(ReplacedLine(layer, config_));
    }
    lines_.push_back(ReplacedTotalLine(static_cast<int64_t>(selection->layers.size())));
    MakeObserver();
    for (const SelectedLayer& layer : selection->layers) MakeLayer(layer);
    const auto forwards = session_["forwards"].get<int>();
    const auto episodes = session_["episodes"].get<int>();
    for (int episode = 1; episode <= episodes; ++episode) {
      RunForwards(forwards);
      AddProfile(" [episode " + std::to_string(episode) + "]");
      observer_->ResetProfile();
    }
    if (episodes == 0) RunForwards(forwards);
    AddProfile("");
    return lines_;
  }

 private:
  void MakeObserver() {
    EngineObserver::Options options;
    options.debug = config_.debug;
    options.profile = config_.profile;
    const auto sync = environment_.find("OPENPI_DUQUANT_PROFILE_SYNC");
    options.cuda_sync = sync == environment_.end() || sync->second != "0";
    options.clock = [this] { return now_ += kSecondsPerCall; };
    options.log = [this](const std::string& line) { lines_.push_back(line); };
    observer_ = std::make_shared<EngineObserver>(options);
  }

  void MakeLayer(const SelectedLayer& layer) {
    const bool bf16 = session_["dtype"] == "bf16";
    const LinearInfo& linear = layer.linear;
    const at::Tensor weight = Numbers(linear.out_features, linear.in_features);
    PackRequest request;
    request.name = linear.name;
    request.weight = {weight.const_data_ptr<float>(), static_cast<size_t>(weight.numel())};
    request.out_features = linear.out_features;
    request.in_features = linear.in_features;
    request.settings = layer.settings;
    request.arithmetic = bf16 ? PackArithmetic::kLegacyBf16 : PackArithmetic::kLegacyF32;
    request.compat_bugs = config_.compat_bugs;
    auto contents = BuildPack(request);
    INFO(contents.status().message());
    REQUIRE(contents.ok());
    EngineInputs inputs;
    inputs.name = linear.name;
    inputs.pack = ViewOf(*std::move(contents));
    inputs.settings = layer.settings;
    inputs.compat_bugs = config_.compat_bugs;
    inputs.compute_dtype = bf16 ? at::kBFloat16 : at::kFloat;
    inputs.observer = observer_;
    inputs.precache_weights = config_.precache_weights;
    if (linear.bias) inputs.bias = at::ones({linear.out_features}, at::kFloat);
    auto engine = MakeEngine(config_.engine, std::move(inputs));
    INFO(engine.status().message());
    REQUIRE(engine.ok());
    inputs_.push_back(Numbers(kRows, linear.in_features).to(bf16 ? at::kBFloat16 : at::kFloat));
    engines_.push_back(*std::move(engine));
  }

  void RunForwards(int forwards) {
    for (int i = 0; i < forwards; ++i) {
      for (size_t layer = 0; layer < engines_.size(); ++layer) {
        engines_[layer]->Forward(inputs_[layer]);
      }
    }
  }

  void AddProfile(const std::string& context) {
    for (std::string& line : observer_->ProfileTable(context)) lines_.push_back(std::move(line));
  }

  const Json& session_;
  Environment environment_;
  QuantConfig config_;
  Lines lines_;
  double now_ = 0;
  std::shared_ptr<EngineObserver> observer_;
  std::vector<std::unique_ptr<LinearEngine>> engines_;
  std::vector<at::Tensor> inputs_;
};

// Sessions in which layers really run. What else they print: tests/server/config.
bool Runs(const Json& session) {
  if (!session.contains("forwards") || session["forwards"] == 0) return false;
  for (const Json& event : session["events"]) {
    const auto text = event["text"].get<std::string>();
    if (text.starts_with("[DUQUANT] Total layers replaced")) return true;
  }
  return false;
}

TEST_CASE("golden: whole sessions print the reference's lines, profile included") {
  const Json logs = ReadGoldenJson("quant/logs/logs.json");
  const auto linears = ReadLinears(logs["model_linears"]);
  size_t cases = 0;
  for (const Json& session : logs["sessions"]) {
    if (!Runs(session)) continue;
    INFO(session["id"].get<std::string>());
    ++cases;
    Lines expected;
    for (const Json& event : session["events"]) expected.push_back(event["text"]);
    CHECK(Session(session).Run(linears) == expected);
  }
  ReportGoldenCases("quant/logs sessions with forwards", cases);
}

}  // namespace
}  // namespace vlaserve
