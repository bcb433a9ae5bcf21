#include "quant/pass/plan.h"

#include <algorithm>
#include <map>
#include <utility>

#include "model/archive/module.h"
#include "model/checkpoint/tensor_names.h"
#include "model/io/hash.h"
#include "model/policy/load.h"
#include "quant/pack/legacy_packer.h"
#include "quant/pack/npz_pack.h"
#include "quant/pass/smooth_file.h"

namespace vlaserve {
namespace {

Status Invalid(const std::string& field, const std::string& message) {
  return {StatusCode::kInvalidArgument, field, message};
}

// What layers look up while they are planned.
struct Sources {
  Archive& archive;
  const QuantConfig& config;
  const RunOptions& run;
  std::map<std::string, GraphLinear> linears;
  std::map<std::string, std::vector<float>> smooth;
  std::optional<CalibrationFile> calibration;
  std::vector<std::string> notes;
};

// A file that the configuration names cannot be used: a fault of the configuration.
Status About(std::string_view key, const Status& status) {
  return {StatusCode::kInvalidArgument, std::string(key), status.message()};
}

Status ReadNamedFiles(Sources& sources) {
  const QuantConfig& config = sources.config;
  if (!config.smooth_file.empty()) {
    auto smooth = ReadSmoothFile(PosixFileSystem(), config.smooth_file);
    if (!smooth.ok()) return About("quant.transform.smooth.file", smooth.status());
    sources.smooth = *std::move(smooth);
  }
  if (!config.calibration_file.empty()) {
    auto calibration = CalibrationFile::Open(PosixFileSystem(), config.calibration_file);
    if (!calibration.ok()) return About("quant.calibration_file", calibration.status());
    sources.calibration = *std::move(calibration);
    const Status fits = sources.calibration->CheckArchive(sources.archive.archive_sha256());
    if (!fits.ok()) return About("quant.calibration_file", fits);
  }
  return Status::Ok();
}

Status TakeGraphLinear(Sources& sources, PlannedLayer& planned) {
  const std::string& name = planned.name();
  const auto found = sources.linears.find(name);
  if (found == sources.linears.end()) {
    return Invalid("quant.select", name + ": the archive's methods never run this linear");
  }
  planned.graph = found->second;
  if (!planned.graph.other_uses.empty()) {
    return Invalid("quant.select", name + ": cannot be replaced, its weight is also read by " +
                                       planned.graph.other_uses.front());
  }
  return Status::Ok();
}

Status TakeDigest(const Sources& sources, PlannedLayer& planned) {
  const auto digest = sources.archive.digests().find(planned.name() + ".weight");
  if (digest == sources.archive.digests().end()) {
    return {StatusCode::kUnreadable,
            sources.archive.path() + ": no digest of " + planned.name() + ".weight"};
  }
  const bool wide =
      sources.run.compute_dtype == ComputeDtype::kFloat32 || IsFloat32Island(digest->first);
  planned.compute_dtype = wide ? DType::kF32 : DType::kBF16;
  planned.pack.weight_sha256 = digest->second.sha256;
  planned.pack.weight_dtype = DTypeName(digest->second.dtype);
  return Status::Ok();
}

PackArithmetic ArithmeticFor(Engine engine, DType compute_dtype) {
  if (engine == Engine::kTransformsOnly) return PackArithmetic::kNone;
  if (engine != Engine::kLegacyExact) return PackArithmetic::kInteger;
  return compute_dtype == DType::kBF16 ? PackArithmetic::kLegacyBf16 : PackArithmetic::kLegacyF32;
}

Status TakeSmoothing(const Sources& sources, PlannedLayer& planned) {
  if (planned.layer.settings.transform.smooth == SmoothMode::kOff) return Status::Ok();
  const std::string& file = sources.config.smooth_file;
  const auto found = sources.smooth.find(planned.name());
  if (found == sources.smooth.end()) {
    return Invalid("quant.transform.smooth.file", file + ": has no scales for " + planned.name());
  }
  const auto columns = static_cast<size_t>(planned.layer.linear.in_features);
  if (found->second.size() != columns) {
    return Invalid("quant.transform.smooth.file", file + ": " + planned.name() + ": expected " +
                                                      std::to_string(columns) + " scales, found " +
                                                      std::to_string(found->second.size()));
  }
  planned.smooth = found->second;
  planned.pack.smooth_sha256 = Sha256Hex(std::as_bytes(std::span(planned.smooth)));
  return Status::Ok();
}

Status TakeNpz(Sources& sources, PlannedLayer& planned) {
  if (sources.config.npz_folder.empty()) return Status::Ok();
  planned.npz_path = JoinPath(sources.config.npz_folder, NpzFileName(planned.name()));
  if (!PosixFileSystem().IsFile(planned.npz_path)) {
    return Invalid("pack_cache.import_npz",
                   planned.npz_path + ": there is no such pack of openpi_duquant");
  }
  VLASERVE_ASSIGN_OR_RETURN(const NpzPack pack, ReadNpzPack(PosixFileSystem(), planned.npz_path));
  planned.pack.npz_sha256 = pack.sha256;
  std::string note = NpzOverrideNote(planned.name(), planned.layer.configured.transform, pack);
  if (!note.empty()) sources.notes.push_back(std::move(note));
  return Status::Ok();
}

Status TakeCalibration(const Sources& sources, PlannedLayer& planned) {
  const LayerSettings& settings = planned.layer.settings;
  const bool pack_needs = PackNeedsCalibration(settings);
  if (!pack_needs && !ScalesNeedCalibration(sources.config, settings)) return Status::Ok();
  if (!sources.calibration) {
    return Invalid("quant.calibration_file",
                   planned.name() +
                       ": its transforms or activation scales come from a calibration "
                       "file (vlaserve calibrate), and none is given");
  }
  VLASERVE_ASSIGN_OR_RETURN(const LayerCalibration layer,
                            sources.calibration->Layer(planned.name(), planned.pack.in_features));
  if (pack_needs) planned.pack.calibration_sha256 = LayerCalibrationSha256(layer);
  return Status::Ok();
}

Result<PlannedLayer> PlanLayer(Sources& sources, const SelectedLayer& selected) {
  PlannedLayer planned;
  planned.layer = selected;
  PackInputs& pack = planned.pack;
  pack.out_features = selected.linear.out_features;
  pack.in_features = selected.linear.in_features;
  pack.settings = selected.settings;
  pack.compat_bugs = sources.config.compat_bugs;
  VLASERVE_RETURN_IF_ERROR(TakeGraphLinear(sources, planned));
  VLASERVE_RETURN_IF_ERROR(TakeDigest(sources, planned));
  pack.arithmetic = ArithmeticFor(sources.config.engine, planned.compute_dtype);
  VLASERVE_RETURN_IF_ERROR(TakeSmoothing(sources, planned));
  VLASERVE_RETURN_IF_ERROR(TakeNpz(sources, planned));
  VLASERVE_RETURN_IF_ERROR(TakeCalibration(sources, planned));
  return planned;
}

bool ComputesFromIntegerPacks(Engine engine) {
  return engine == Engine::kInt || engine == Engine::kFake;
}

std::string Layers(int64_t count) {
  return std::to_string(count) + (count == 1 ? " layer" : " layers");
}

// One line for each thing that the settings could not have word for word.
void AddNotes(const QuantConfig& config, std::span<const SelectedLayer> selected, Plan& plan) {
  std::map<int64_t, int64_t> widened;                       // weight bits → layers
  std::map<std::pair<int64_t, int64_t>, int64_t> narrowed;  // block asked for, block → layers
  int64_t unquantized = 0;
  for (const SelectedLayer& layer : selected) {
    const int64_t bits = layer.settings.weight.bits;
    if (config.engine == Engine::kInt && bits != 0 && bits != 4 && bits != 8) ++widened[bits];
    if (ComputesFromIntegerPacks(config.engine) && bits == 0) ++unquantized;
    const int64_t block = layer.settings.transform.block;
    const int64_t wanted = layer.configured.transform.block;
    if (layer.settings.transform.rotate_in != RotateIn::kOff && block != wanted) {
      ++narrowed[{wanted, block}];
    }
  }
  for (const auto& [bits, count] : widened) {
    plan.notes.push_back("quant.weight.bits " + std::to_string(bits) + ": stored in " +
                         (bits < 4 ? "4" : "8") + " bits in " + Layers(count) +
                         " (engine int computes with 4 or 8)");
  }
  for (const auto& [blocks, count] : narrowed) {
    plan.notes.push_back("quant.transform.block " + std::to_string(blocks.first) +
                         ": narrowed to " + std::to_string(blocks.second) + " in " + Layers(count) +
                         " whose columns it does not divide");
  }
  if (unquantized > 0) {
    plan.notes.push_back("quant.weight.bits 0: " + Layers(unquantized) + " left as they are");
  }
}

}  // namespace

bool PackNeedsCalibration(const LayerSettings& settings) {
  return settings.transform.permute == Permute::kActSnake ||
         settings.transform.rotate_in == RotateIn::kDuquantGreedy;
}

bool ScalesNeedCalibration(const QuantConfig& config, const LayerSettings& settings) {
  const ActivationMode mode = settings.activation.mode;
  return config.engine == Engine::kLegacyExact && !config.compat_bugs.first_batch_calib &&
         settings.activation.bits > 0 &&
         (mode == ActivationMode::kStaticTensor || mode == ActivationMode::kStaticChannel ||
          mode == ActivationMode::kStepChannel);
}

Result<Plan> PlanLayers(Archive& archive, std::span<const SelectedLayer> selected,
                        const QuantConfig& config, const RunOptions& run) {
  Sources sources{archive, config, run, {}, {}, {}, {}};
  VLASERVE_ASSIGN_OR_RETURN(std::vector<GraphLinear> linears, FindLinears(archive.module().module));
  for (GraphLinear& linear : linears) sources.linears.emplace(linear.name, std::move(linear));
  VLASERVE_RETURN_IF_ERROR(ReadNamedFiles(sources));

  Plan plan;
  AddNotes(config, selected, plan);
  for (const SelectedLayer& layer : selected) {
    if (ComputesFromIntegerPacks(config.engine) && layer.settings.weight.bits == 0) continue;
    Result<PlannedLayer> planned = PlanLayer(sources, layer);
    if (planned.ok()) {
      plan.layers.push_back(*std::move(planned));
    } else if (!config.strict && planned.status().code() == StatusCode::kInvalidArgument) {
      plan.warnings.push_back(planned.status().message() + "; it stays float");
    } else {
      return planned.status();
    }
  }
  for (std::string& note : sources.notes) plan.notes.push_back(std::move(note));
  plan.calibration = std::move(sources.calibration);
  return plan;
}

}  // namespace vlaserve
