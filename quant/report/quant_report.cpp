#include "quant/report/quant_report.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "model/archive/torch_errors.h"
#include "quant/engine/engine_inputs.h"
#include "quant/report/comparing_engine.h"
#include "quant/report/weight_error.h"

namespace vlaserve {
namespace {

struct LayerErrors {
  ErrorSums weight;
  std::shared_ptr<ErrorSums> outputs = std::make_shared<ErrorSums>();
};

LayerReport ReportOf(const QuantizedLayerInfo& info, const LayerErrors& errors) {
  LayerReport report;
  report.info = info;
  report.weight_nmse = errors.weight.Nmse();
  report.was_run = errors.outputs->values > 0;
  report.output_nmse = errors.outputs->Nmse();
  report.output_cosine = errors.outputs->Cosine();
  report.output_max_abs_diff = errors.outputs->largest;
  return report;
}

bool IsWorse(const LayerReport& a, const LayerReport& b) {
  if (a.was_run != b.was_run) return a.was_run;
  return a.output_nmse > b.output_nmse;
}

}  // namespace

Result<QuantReport> MakeQuantReport(const ArchiveOpener& open, const PolicyOptions& policy,
                                    const QuantizeInputs& quantize,
                                    std::span<const NamedInput> inputs) {
  if (inputs.empty()) {
    return Status(StatusCode::kInvalidArgument, "no observations to compare on");
  }
  QuantReport report;
  std::map<std::string, LayerErrors> errors;
  std::vector<Chunk> reference;
  {
    VLASERVE_ASSIGN_OR_RETURN(std::unique_ptr<Archive> archive, open());
    report.archive = archive->path();
    report.archive_sha256 = archive->archive_sha256();
    QuantizeInputs beside = quantize;
    beside.wrap_engine = [&errors](const EngineInputs& layer,
                                   std::unique_ptr<LinearEngine> engine) {
      return CatchTorchErrors(layer.name, [&]() -> Result<std::unique_ptr<LinearEngine>> {
        LayerErrors& of_layer = errors[layer.name];
        of_layer.weight = WeightErrors(layer.pack, layer.weight);
        return std::unique_ptr<LinearEngine>(std::make_unique<ComparingEngine>(
            layer.weight, layer.bias, std::move(engine), of_layer.outputs));
      });
    };
    VLASERVE_ASSIGN_OR_RETURN(QuantizedPolicy compared,
                              MakeQuantizedPolicy(std::move(archive), policy, beside));
    if (compared.summary.layers.empty()) {
      return Status(StatusCode::kInvalidArgument, "quant.preset",
                    "nothing is quantized: there is nothing to report on");
    }
    VLASERVE_ASSIGN_OR_RETURN(reference, RunChunks(*compared.policy, inputs));
    for (const QuantizedLayerInfo& info : compared.summary.layers) {
      report.layers.push_back(ReportOf(info, errors[info.layer.linear.name]));
    }
  }
  std::stable_sort(report.layers.begin(), report.layers.end(), IsWorse);

  VLASERVE_ASSIGN_OR_RETURN(std::unique_ptr<Archive> archive, open());
  VLASERVE_ASSIGN_OR_RETURN(QuantizedPolicy quantized,
                            MakeQuantizedPolicy(std::move(archive), policy, quantize));
  VLASERVE_ASSIGN_OR_RETURN(const std::vector<Chunk> chunks, RunChunks(*quantized.policy, inputs));
  report.summary = std::move(quantized.summary);
  report.chunks = CompareChunks(inputs, chunks, reference, quantized.policy->geometry().action_dim,
                                std::min(quantized.policy->settings().output_action_dim,
                                         quantized.policy->geometry().action_dim));
  report.chunk_summary = Summarize(report.chunks);
  return report;
}

}  // namespace vlaserve
