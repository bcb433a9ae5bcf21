#include "quant/quantize.h"

#include <algorithm>
#include <exception>
#include <map>
#include <set>
#include <span>
#include <utility>

#include "kernels/isa.h"
#include "model/archive/module.h"
#include "model/policy/wanted_scalar_type.h"
#include "quant/config/spellings.h"
#include "quant/engine/int_layer.h"
#include "quant/engine/make_engine.h"
#include "quant/pass/build_packs.h"
#include "quant/pass/check_fusions.h"
#include "quant/pass/fold_smoothing.h"
#include "quant/pass/fuse.h"
#include "quant/pass/lower.h"
#include "quant/pass/plan.h"
#include "quant/select/log_lines.h"

namespace vlaserve {
namespace {

at::ScalarType ScalarTypeOf(DType dtype) {
  return dtype == DType::kBF16 ? at::kBFloat16 : at::kFloat;
}

void Print(const QuantizeInputs& inputs, const std::vector<std::string>& lines) {
  if (!inputs.print) return;
  for (const std::string& line : lines) inputs.print(line);
}

QuantSummary EmptySummary(const Archive& archive, const QuantConfig& config) {
  QuantSummary summary;
  summary.engine = config.engine;
  summary.preset = config.preset;
  summary.linears = static_cast<int64_t>(archive.linears().size());
  return summary;
}

Status NothingMatched(const QuantConfig& config) {
  return {StatusCode::kInvalidArgument, "quant.select.scope",
          "no linear of the archive is selected (scope '" + config.select.scope + "', include '" +
              config.select.include +
              "'); vlaserve layers lists them, quant.strict=false serves float instead"};
}

// A plan with its packs.
struct Packed {
  Selection selection;
  Plan plan;
  std::vector<LoadedPack> packs;
};

Result<Packed> Pack(Archive& archive, const QuantizeInputs& inputs, Selection selection) {
  const QuantConfig& config = *inputs.config;
  Packed packed;
  packed.selection = std::move(selection);
  if (packed.selection.layers.empty()) {
    Status nothing = NothingMatched(config);
    if (config.strict) return nothing;
    packed.plan.warnings.push_back(nothing.message());
    return packed;
  }
  VLASERVE_ASSIGN_OR_RETURN(packed.plan,
                            PlanLayers(archive, packed.selection.layers, config, *inputs.run));
  VLASERVE_ASSIGN_OR_RETURN(packed.packs, BuildPacks(archive, packed.plan, inputs));
  return packed;
}

std::string KernelName(Engine engine, kernels::Isa isa) {
  return engine == Engine::kInt ? std::string(kernels::IsaName(isa)) : "libtorch";
}

QuantSummary Summarize(const Archive& archive, const QuantizeInputs& inputs, Packed& packed) {
  const QuantConfig& config = *inputs.config;
  QuantSummary summary = EmptySummary(archive, config);
  for (size_t i = 0; i < packed.packs.size(); ++i) {
    const PlannedLayer& layer = packed.plan.layers[i];
    const LoadedPack& pack = packed.packs[i];
    summary.layers.push_back({layer.layer, pack.source, layer.source_bytes(), PackBytes(pack.layer),
                              /*engine_bytes=*/0, KernelName(config.engine, inputs.isa)});
  }
  summary.notes = std::move(packed.selection.notes);
  for (std::string& note : packed.plan.notes) summary.notes.push_back(std::move(note));
  summary.warnings = std::move(packed.plan.warnings);
  return summary;
}

// Moves smoothing into norms and returns the layers that need not smooth any more. Not where
// engines are compared with float layers, which know nothing of it.
Result<std::set<std::string>> Fold(Archive& archive, const QuantizeInputs& inputs,
                                   const Packed& packed) {
  const Engine engine = inputs.config->engine;
  const bool folds = engine == Engine::kInt || engine == Engine::kFake;
  if (!inputs.config->fold || !folds || inputs.wrap_engine) return std::set<std::string>();
  std::map<std::string, std::span<const float>> smooth;
  for (size_t i = 0; i < packed.packs.size(); ++i) {
    const std::span<const float> scales = packed.packs[i].layer.smooth;
    if (!scales.empty()) smooth.emplace(packed.plan.layers[i].name(), scales);
  }
  if (smooth.empty()) return std::set<std::string>();
  return FoldSmoothing(archive.module().module, smooth);
}

struct MadeEngine {
  std::unique_ptr<LinearEngine> engine;
  int64_t bytes = 0;  // EngineBytes
};

Result<MadeEngine> EngineFor(const PlannedLayer& layer, const LoadedPack& pack, bool folded,
                             const Plan& plan, const QuantizeInputs& inputs) {
  EngineInputs engine;
  engine.name = layer.name();
  engine.pack = pack.layer;
  if (folded) engine.pack.smooth = {};
  engine.settings = layer.layer.settings;
  engine.compat_bugs = inputs.config->compat_bugs;
  engine.weight = layer.graph.weight;
  engine.bias = layer.graph.bias;
  engine.compute_dtype = ScalarTypeOf(layer.compute_dtype);
  engine.observer = inputs.observer;
  engine.isa = inputs.isa;
  engine.precache_weights = inputs.config->precache_weights;
  LayerCalibration calibration;
  if (plan.calibration && ScalesNeedCalibration(*inputs.config, layer.layer.settings)) {
    VLASERVE_ASSIGN_OR_RETURN(calibration,
                              plan.calibration->Layer(layer.name(), layer.pack.in_features));
    engine.calibration = &calibration;
  }
  MadeEngine made;
  made.bytes = EngineBytes(inputs.config->engine, engine);
  VLASERVE_ASSIGN_OR_RETURN(made.engine, MakeEngine(inputs.config->engine, engine));
  if (inputs.wrap_engine) {
    VLASERVE_ASSIGN_OR_RETURN(made.engine, inputs.wrap_engine(engine, std::move(made.engine)));
  }
  return made;
}

using IntLayers = std::map<std::string, const IntLayer*>;

Result<std::vector<FusionSummary>> Fuse(Archive& archive, const QuantConfig& config,
                                        const IntLayers& layers, Plan& plan) {
  std::vector<FusionSummary> summary;
  if (layers.empty()) return summary;
  VLASERVE_ASSIGN_OR_RETURN(const std::vector<FusionCount> counts,
                            FuseLinears(archive.module().module, config.fuse));
  for (const FusionCount& count : counts) {
    if (!config.fuse.contains(count.fusion)) continue;
    summary.push_back(
        {std::string(Spelling(kFusionSpellings, count.fusion)), count.fused, count.possible});
  }
  for (const std::string& missing : MissingFusions(layers, config.fuse, counts)) {
    if (config.strict) return Status(StatusCode::kInvalidArgument, "quant.fuse", missing);
    plan.warnings.push_back("quant.fuse: " + missing);
  }
  return summary;
}

// What the lowering leaves behind: the bytes that each layer's engine keeps, in the order of the
// plan, and what was fused.
struct Lowered {
  std::vector<int64_t> bytes;
  std::vector<FusionSummary> fusions;
};

Result<Lowered> Lower(Archive& archive, const QuantizeInputs& inputs, Packed& packed) {
  VLASERVE_ASSIGN_OR_RETURN(const std::set<std::string> folded, Fold(archive, inputs, packed));
  if (!folded.empty()) {
    packed.plan.notes.push_back("quant.transform.fold: norms smooth for " +
                                std::to_string(folded.size()) + " layers");
  }
  std::map<std::string, std::unique_ptr<LinearEngine>> engines;
  IntLayers int_layers;
  Lowered lowered;
  for (size_t i = 0; i < packed.packs.size(); ++i) {
    const PlannedLayer& layer = packed.plan.layers[i];
    VLASERVE_ASSIGN_OR_RETURN(
        MadeEngine made,
        EngineFor(layer, packed.packs[i], folded.contains(layer.name()), packed.plan, inputs));
    if (const IntLayer* fusible = made.engine->int_layer()) int_layers[layer.name()] = fusible;
    engines[layer.name()] = std::move(made.engine);
    lowered.bytes.push_back(made.bytes);
    // Engines that compute from the weight have done so.
    archive.ReleasePages(layer.name() + ".weight");
  }
  const auto wanted = [&](const std::string& parameter, at::ScalarType stored_dtype) {
    return WantedScalarType(parameter, stored_dtype, *inputs.run);
  };
  VLASERVE_RETURN_IF_ERROR(
      LowerLinears(archive.module().module, std::move(engines), wanted).status());
  VLASERVE_ASSIGN_OR_RETURN(lowered.fusions,
                            Fuse(archive, *inputs.config, int_layers, packed.plan));
  return lowered;
}

Status CheckIsa(const QuantConfig& config) {
  const kernels::IsaChoice& choice = kernels::CurrentIsa();
  if (config.engine != Engine::kInt || choice.problem.empty()) return Status::Ok();
  return {StatusCode::kInvalidArgument, "VLASERVE_ISA", choice.problem};
}

}  // namespace

int64_t QuantSummary::CountFrom(PackSource source) const {
  return std::count_if(layers.begin(), layers.end(), [source](const QuantizedLayerInfo& layer) {
    return layer.source == source;
  });
}

int64_t QuantSummary::SourceBytes() const {
  int64_t bytes = 0;
  for (const QuantizedLayerInfo& layer : layers) bytes += layer.source_bytes;
  return bytes;
}

int64_t QuantSummary::PackedBytes() const {
  int64_t bytes = 0;
  for (const QuantizedLayerInfo& layer : layers) bytes += layer.pack_bytes;
  return bytes;
}

int64_t QuantSummary::EngineBytes() const {
  int64_t bytes = 0;
  for (const QuantizedLayerInfo& layer : layers) bytes += layer.engine_bytes;
  return bytes;
}

Result<QuantSummary> QuantizeArchive(Archive& archive, const QuantizeInputs& inputs) {
  const QuantConfig& config = *inputs.config;
  if (config.engine == Engine::kOff) return EmptySummary(archive, config);
  VLASERVE_RETURN_IF_ERROR(CheckQuantConfig(config));
  VLASERVE_RETURN_IF_ERROR(CheckIsa(config));
  VLASERVE_ASSIGN_OR_RETURN(Selection selection, Select(archive.linears(), config));
  if (config.dry_run) {
    Print(inputs, DryRunLines(archive.linears(), config, selection));
    return EmptySummary(archive, config);
  }
  Print(inputs, SelectionLines(archive.linears(), config, selection));
  VLASERVE_ASSIGN_OR_RETURN(Packed packed, Pack(archive, inputs, std::move(selection)));
  Lowered lowered;
  if (!packed.packs.empty()) {
    VLASERVE_ASSIGN_OR_RETURN(lowered, Lower(archive, inputs, packed));
  }
  QuantSummary summary = Summarize(archive, inputs, packed);
  summary.fusions = std::move(lowered.fusions);
  for (size_t i = 0; i < lowered.bytes.size(); ++i) {
    summary.layers[i].engine_bytes = lowered.bytes[i];
  }
  std::vector<std::string> lines;
  for (const QuantizedLayerInfo& layer : summary.layers) {
    lines.push_back(ReplacedLine(layer.layer, config));
  }
  lines.push_back(ReplacedTotalLine(static_cast<int64_t>(summary.layers.size())));
  Print(inputs, lines);
  return summary;
}

Result<QuantSummary> PackArchive(Archive& archive, const QuantizeInputs& inputs) {
  const QuantConfig& config = *inputs.config;
  if (config.engine == Engine::kOff) return EmptySummary(archive, config);
  VLASERVE_RETURN_IF_ERROR(CheckQuantConfig(config));
  VLASERVE_ASSIGN_OR_RETURN(Selection selection, Select(archive.linears(), config));
  VLASERVE_ASSIGN_OR_RETURN(Packed packed, Pack(archive, inputs, std::move(selection)));
  return Summarize(archive, inputs, packed);
}

}  // namespace vlaserve
