#include "server/golden/log_session.h"

#include <memory>
#include <utility>

#include <ATen/ATen.h>

#include "model/archive/torch_errors.h"
#include "quant/engine/make_engine.h"
#include "quant/engine/observer.h"
#include "quant/pack/packer.h"
#include "quant/select/log_lines.h"
#include "server/golden/environment_run.h"

namespace vlaserve {
namespace {

using Json = nlohmann::json;
using Lines = std::vector<std::string>;

constexpr double kSecondsPerCall = 0.00125;
constexpr int64_t kRows = 5;

// [1, rows, columns], the same numbers on every machine.
at::Tensor Numbers(int64_t rows, int64_t columns) {
  return at::sin(at::arange(rows * columns, at::kFloat)).reshape({1, rows, columns});
}

class Session {
 public:
  Session(const QuantConfig& config, bool bf16) : config_(config), bf16_(bf16) {
    EngineObserver::Options options;
    options.debug = config.debug;
    options.profile = config.profile;
    options.cuda_sync = config.profile_sync;
    options.clock = [this] { return now_ += kSecondsPerCall; };
    options.log = [this](const std::string& line) { lines_.push_back(line); };
    observer_ = std::make_shared<EngineObserver>(std::move(options));
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Status Run(const std::vector<LinearInfo>& linears, const Selection& selection, int64_t forwards,
             int64_t episodes) {
    lines_ = SelectionLines(linears, config_, selection);
    for (const SelectedLayer& layer : selection.layers) {
      lines_.push_back(ReplacedLine(layer, config_));
    }
    lines_.push_back(ReplacedTotalLine(static_cast<int64_t>(selection.layers.size())));
    for (const SelectedLayer& layer : selection.layers) {
      VLASERVE_RETURN_IF_ERROR(MakeLayer(layer));
    }
    for (int64_t episode = 1; episode <= episodes; ++episode) {
      RunForwards(forwards);
      AddProfile(" [episode " + std::to_string(episode) + "]");
      observer_->ResetProfile();
    }
    if (episodes == 0) RunForwards(forwards);
    AddProfile("");
    return Status::Ok();
  }

  Lines TakeLines() { return std::move(lines_); }

 private:
  Status MakeLayer(const SelectedLayer& layer) {
    const LinearInfo& linear = layer.linear;
    const at::Tensor weight = Numbers(linear.out_features, linear.in_features);
    PackRequest request;
    request.name = linear.name;
    request.weight = {weight.const_data_ptr<float>(), static_cast<size_t>(weight.numel())};
    request.out_features = linear.out_features;
    request.in_features = linear.in_features;
    request.settings = layer.settings;
    request.arithmetic = bf16_ ? PackArithmetic::kLegacyBf16 : PackArithmetic::kLegacyF32;
    request.compat_bugs = config_.compat_bugs;
    VLASERVE_ASSIGN_OR_RETURN(PackContents contents, BuildPack(request));
    const at::ScalarType dtype = bf16_ ? at::kBFloat16 : at::kFloat;
    EngineInputs inputs;
    inputs.name = linear.name;
    inputs.pack = ViewOf(std::move(contents));
    inputs.settings = layer.settings;
    inputs.compat_bugs = config_.compat_bugs;
    inputs.compute_dtype = dtype;
    inputs.observer = observer_;
    inputs.precache_weights = config_.precache_weights;
    if (linear.bias) inputs.bias = at::ones({linear.out_features}, at::kFloat);
    VLASERVE_ASSIGN_OR_RETURN(std::unique_ptr<LinearEngine> engine,
                              MakeEngine(config_.engine, std::move(inputs)));
    inputs_.push_back(Numbers(kRows, linear.in_features).to(dtype));
    engines_.push_back(std::move(engine));
    return Status::Ok();
  }

  void RunForwards(int64_t forwards) {
    for (int64_t i = 0; i < forwards; ++i) {
      for (size_t layer = 0; layer < engines_.size(); ++layer) {
        engines_[layer]->Forward(inputs_[layer]);
      }
    }
  }

  void AddProfile(const std::string& context) {
    for (std::string& line : observer_->ProfileTable(context)) lines_.push_back(std::move(line));
  }

  const QuantConfig& config_;
  bool bf16_;
  Lines lines_;
  double now_ = 0;
  std::shared_ptr<EngineObserver> observer_;
  std::vector<std::unique_ptr<LinearEngine>> engines_;
  std::vector<at::Tensor> inputs_;
};

}  // namespace

Result<Lines> RunLogSession(FileSystem& files, const Json& session,
                            const std::vector<LinearInfo>& linears) {
  const auto forwards = session.at("forwards").get<int64_t>();
  const auto episodes = session.at("episodes").get<int64_t>();
  const EnvironmentRun run =
      RunEnvironment(files, session.at("env"), linears,
                     {"quant.engine=legacy_exact", R"(quant.compat_bugs=["first_batch_calib"])"});
  VLASERVE_RETURN_IF_ERROR(run.status);
  Session layers(run.config, session.at("dtype") == "bf16");
  VLASERVE_RETURN_IF_ERROR(CatchTorchErrors("the session's layers", [&] {
    return layers.Run(linears, run.selection, forwards, episodes);
  }));
  return layers.TakeLines();
}

}  // namespace vlaserve
