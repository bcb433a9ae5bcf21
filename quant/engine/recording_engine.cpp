#include "quant/engine/recording_engine.h"

#include <span>
#include <utility>

#include "quant/engine/float_linear.h"

namespace vlaserve {

RecordingEngine::RecordingEngine(std::string name, at::Tensor weight, at::Tensor bias,
                                 std::shared_ptr<LayerRecorder> recorder,
                                 std::shared_ptr<const EngineObserver> observer)
    : name_(std::move(name)),
      weight_(std::move(weight)),
      bias_(std::move(bias)),
      recorder_(std::move(recorder)),
      observer_(std::move(observer)) {}

at::Tensor RecordingEngine::Forward(const at::Tensor& x) {
  const at::Tensor rows = FloatRows(x);
  const std::span<const float> values(rows.const_data_ptr<float>(),
                                      static_cast<size_t>(rows.numel()));
  const auto bad = recorder_->Record(values, observer_->denoise_step);
  TORCH_CHECK(!bad.has_value(), "linear ", name_, ": row ", *bad, " of its input holds NaN or Inf");
  return FloatLinear(x, weight_, bias_);
}

}  // namespace vlaserve
