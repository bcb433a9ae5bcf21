#include "quant/calibration/record.h"

#include <algorithm>
#include <map>
#include <utility>

#include <ATen/core/Tensor.h>

#include "model/archive/module.h"
#include "model/archive/torch_errors.h"
#include "model/policy/load.h"
#include "model/policy/torch_policy.h"
#include "model/policy/wanted_scalar_type.h"
#include "quant/calibration/recorder.h"
#include "quant/engine/recording_engine.h"
#include "quant/pass/lower.h"

namespace vlaserve {
namespace {

using Recorders = std::map<std::string, std::shared_ptr<LayerRecorder>>;
using Engines = std::map<std::string, std::unique_ptr<LinearEngine>>;

std::string Join(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

// Why a linear of the archive cannot be recorded; empty if it can.
std::string Obstacle(const GraphLinear* linear) {
  if (linear == nullptr) return "no method of the module computes with it";
  if (!linear->other_uses.empty()) return "its weight is also read by " + Join(linear->other_uses);
  return "";
}

struct Chosen {
  std::vector<GraphLinear> linears;
  std::vector<std::string> notes;
};

Result<Chosen> Choose(const Archive& archive, std::vector<GraphLinear> found,
                      const std::vector<std::string>& names) {
  std::map<std::string, GraphLinear*> by_name;
  for (GraphLinear& linear : found) by_name.emplace(linear.name, &linear);
  const auto find = [&](const std::string& name) {
    const auto entry = by_name.find(name);
    return entry == by_name.end() ? nullptr : entry->second;
  };
  Chosen chosen;
  for (const std::string& name : names) {
    const std::string obstacle = Obstacle(find(name));
    if (!obstacle.empty()) {
      return Status(StatusCode::kInvalidArgument, name + ": cannot be recorded: " + obstacle);
    }
    chosen.linears.push_back(std::move(*find(name)));
  }
  if (!names.empty()) return chosen;
  for (const LinearInfo& info : archive.linears()) {
    if (!info.live) continue;
    GraphLinear* linear = find(info.name);
    const std::string obstacle = Obstacle(linear);
    if (obstacle.empty()) {
      chosen.linears.push_back(std::move(*linear));
    } else {
      chosen.notes.push_back(info.name + ": not recorded: " + obstacle);
    }
  }
  return chosen;
}

// The parameter as LoadWeights would have made it.
at::Tensor Wanted(const Archive& archive, const std::string& name, const at::Tensor& stored,
                  const RunOptions& run) {
  if (!stored.defined()) return stored;
  const at::ScalarType dtype = WantedScalarType(name, stored.scalar_type(), run);
  if (dtype == stored.scalar_type()) return stored;
  at::Tensor converted = stored.to(dtype);
  archive.ReleasePages(name);
  return converted;
}

// Puts recording engines in place of the linears.
Result<Recorders> PutRecorders(Archive& archive, const std::vector<GraphLinear>& linears,
                               const RecordOptions& options, const RunOptions& run,
                               const std::shared_ptr<EngineObserver>& observer) {
  return CatchTorchErrors("calibration", [&]() -> Result<Recorders> {
    Recorders recorders;
    Engines engines;
    for (const GraphLinear& linear : linears) {
      const auto recorder =
          std::make_shared<LayerRecorder>(linear.weight.size(1), options.max_rows, options.seed);
      engines[linear.name] = std::make_unique<RecordingEngine>(
          linear.name, Wanted(archive, linear.name + ".weight", linear.weight, run),
          Wanted(archive, linear.name + ".bias", linear.bias, run), recorder, observer);
      recorders[linear.name] = recorder;
    }
    const auto placeholder_dtype = [&run](const std::string& name, at::ScalarType stored) {
      return WantedScalarType(name, stored, run);
    };
    VLASERVE_RETURN_IF_ERROR(
        LowerLinears(archive.module().module, std::move(engines), placeholder_dtype).status());
    return recorders;
  });
}

// Everything that real inputs meet is computed.
PolicyOptions RecordingPolicy(const PolicyOptions& options,
                              const std::shared_ptr<EngineObserver>& observer) {
  PolicyOptions changed = options;
  changed.savings.drop_masked = true;
  changed.savings.last_layer_kv_only = false;
  changed.on_denoise_step = [observer](int64_t step) { observer->denoise_step = step; };
  return changed;
}

}  // namespace

Result<Recording> RecordCalibration(std::unique_ptr<Archive> archive, const RecordOptions& options,
                                    std::span<const NamedInput> inputs,
                                    const std::function<void(size_t input)>& progress) {
  if (inputs.empty()) {
    return Status(StatusCode::kInvalidArgument, "no observations to calibrate with");
  }
  const auto observer = std::make_shared<EngineObserver>(EngineObserver::Options{});
  const PolicyOptions policy_options = RecordingPolicy(options.policy, observer);
  VLASERVE_ASSIGN_OR_RETURN(const RunOptions run,
                            ResolveOptions(policy_options, archive->settings()));
  VLASERVE_ASSIGN_OR_RETURN(std::vector<GraphLinear> found, FindLinears(archive->module().module));
  VLASERVE_ASSIGN_OR_RETURN(Chosen chosen, Choose(*archive, std::move(found), options.layers));
  VLASERVE_ASSIGN_OR_RETURN(const Recorders recorders,
                            PutRecorders(*archive, chosen.linears, options, run, observer));
  chosen.linears.clear();

  Recording recording;
  recording.notes = std::move(chosen.notes);
  Calibration& calibration = recording.calibration;
  calibration.archive_sha256 = archive->archive_sha256();
  calibration.seed = options.seed;
  VLASERVE_ASSIGN_OR_RETURN(const std::unique_ptr<TorchPolicy> policy,
                            TorchPolicy::Create(std::move(archive), policy_options));
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (progress) progress(i);
    const Status status = policy->model().SampleActions(inputs[i].input, {}, nullptr).status();
    if (!status.ok()) return status.WithContext(inputs[i].name);
    calibration.num_steps = std::max(calibration.num_steps, inputs[i].input.num_steps);
    ++calibration.observations;
  }
  for (const auto& [name, recorder] : recorders) {
    if (recorder->layer().tokens == 0) {
      recording.notes.push_back(name + ": not recorded: these observations never reach it");
    } else {
      calibration.layers.emplace(name, recorder->Take());
    }
  }
  return recording;
}

}  // namespace vlaserve
