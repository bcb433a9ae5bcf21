#include "model/checkpoint/synth.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "embedded/synth_tokenizer.h"
#include "model/checkpoint/checkpoint.h"
#include "model/checkpoint/geometry_json.h"
#include "model/checkpoint/norm_stats.h"
#include "model/checkpoint/random_weights.h"
#include "model/io/safetensors.h"
#include "model/settings/policy_settings.h"

namespace vlaserve {
namespace {

constexpr const char* kWeightsFile = "model.safetensors";
constexpr const char* kEmbedding =
    "paligemma_with_expert.paligemma.model.language_model.embed_tokens.weight";
// Under this name openpi's files hold the embedding: it is tied, and the first in the alphabet.
constexpr const char* kStoredEmbedding = "paligemma_with_expert.paligemma.lm_head.weight";
constexpr const char* kExpertLmHead = "paligemma_with_expert.gemma_expert.lm_head.weight";
// Key of __metadata__ that marks a file as ours to replace.
constexpr const char* kGenerator = "generator";
constexpr const char* kGeneratorName = "vlaserve synth";

DType StoredDType(const SynthOptions& options) {
  const bool is_float = options.size == SynthSize::kTiny && options.type == PolicyType::kPi0;
  return is_float ? DType::kF32 : DType::kBF16;
}

// Nothing of somebody else's is overwritten.
Status CheckOutput(FileSystem& files, const std::string& out) {
  if (!files.IsDirectory(out)) return Status::Ok();  // or creating it fails and says why
  VLASERVE_ASSIGN_OR_RETURN(const std::vector<std::string> entries, files.List(out));
  if (entries.empty()) return Status::Ok();
  const std::string weights = JoinPath(out, kWeightsFile);
  if (files.IsFile(weights)) {
    const auto file = SafetensorsFile::Open(files, weights);
    if (file.ok()) {
      const auto generator = file->metadata().find(kGenerator);
      if (generator != file->metadata().end() && generator->second == kGeneratorName) {
        return Status::Ok();
      }
    }
  }
  return {StatusCode::kFailedPrecondition, "out",
          out + ": not empty and not made by synth: expected a new or empty directory"};
}

// Writes numbers into a file and reports every tenth of it.
class WeightWriter {
 public:
  WeightWriter(SafetensorsWriter writer, uint64_t total_bytes, const ProgressSink& progress)
      : writer_(std::move(writer)), total_bytes_(total_bytes), progress_(progress) {}

  Status Append(const ExpectedTensor& tensor, DType dtype, uint64_t seed) {
    uint64_t numel = 1;
    for (const int64_t dimension : tensor.shape) numel *= static_cast<uint64_t>(dimension);
    const WeightDistribution distribution = DistributionOf(tensor);
    const uint64_t stream = WeightStream(seed, tensor.name);
    for (uint64_t begin = 0; begin < numel; begin += kPortion) {
      const uint64_t count = std::min(kPortion, numel - begin);
      buffer_.resize(count * DTypeSize(dtype));
      FillWeights(distribution, stream, numel, begin, dtype, buffer_);
      VLASERVE_RETURN_IF_ERROR(writer_.Append(buffer_));
      Report(buffer_.size());
    }
    return Status::Ok();
  }

  Status Finish() { return writer_.Finish(); }

 private:
  static constexpr uint64_t kPortion = uint64_t{1} << 20;  // elements

  void Report(uint64_t bytes) {
    const uint64_t tenths_before = written_ * 10 / total_bytes_;
    written_ += bytes;
    const uint64_t tenths = written_ * 10 / total_bytes_;
    if (tenths != tenths_before) {
      progress_(std::string(kWeightsFile) + ": " + std::to_string(tenths * 10) + " %");
    }
  }

  SafetensorsWriter writer_;
  uint64_t total_bytes_;
  uint64_t written_ = 0;
  const ProgressSink& progress_;
  std::vector<std::byte> buffer_;
};

Status WriteWeights(FileSystem& files, const SynthOptions& options, const Geometry& geometry,
                    const ProgressSink& progress) {
  const DType dtype = StoredDType(options);
  const std::vector<ExpectedTensor> tensors = SynthTensors(geometry);
  std::vector<SafetensorsWriter::Declaration> declarations;
  uint64_t total_bytes = 0;
  for (const ExpectedTensor& tensor : tensors) {
    declarations.push_back({tensor.name, dtype, tensor.shape});
    uint64_t bytes = DTypeSize(dtype);
    for (const int64_t dimension : tensor.shape) bytes *= static_cast<uint64_t>(dimension);
    total_bytes += bytes;
  }
  const std::string path = JoinPath(options.out, kWeightsFile);
  progress(path + ": " + std::to_string(tensors.size()) + " tensors, " +
           std::to_string(total_bytes) + " bytes");
  VLASERVE_ASSIGN_OR_RETURN(
      SafetensorsWriter file,
      SafetensorsWriter::Create(files, path, std::move(declarations),
                                {{kEmbedding, kStoredEmbedding}, {kGenerator, kGeneratorName}}));
  WeightWriter writer(std::move(file), total_bytes, progress);
  for (const ExpectedTensor& tensor : tensors) {
    VLASERVE_RETURN_IF_ERROR(writer.Append(tensor, dtype, options.seed));
  }
  progress(std::string(kWeightsFile) + ": syncing to disk");
  return writer.Finish();
}

// The five keys that openpi's converter writes.
std::string ConfigJson(const SynthOptions& options, const Geometry& geometry) {
  const bool full = options.size == SynthSize::kFull;
  nlohmann::ordered_json config;
  config["action_dim"] = geometry.action_dim;
  config["action_horizon"] = geometry.horizon;
  config["paligemma_variant"] = full ? "gemma_2b" : "tiny_2b";
  config["action_expert_variant"] = full ? "gemma_300m" : "tiny_300m";
  config["precision"] = StoredDType(options) == DType::kF32 ? "float32" : "bfloat16";
  return config.dump(2) + "\n";
}

// Made up, in the range of LIBERO's: gripper position in m, axis-angle in rad, finger positions in
// m; actions are position and rotation offsets of -1 to 1 and the gripper command.
NormStats Statistics8And7() {
  NormStats stats;
  stats.state.mean = {-0.05, 0.03, 0.75, 3.0, -0.2, -0.1, 0.03, -0.03};
  stats.state.std = {0.1, 0.15, 0.4, 0.35, 0.9, 0.3, 0.0125, 0.0125};
  stats.state.q01 = {-0.3, -0.3, 0.0, 2.2, -2.2, -0.8, 0.002, -0.04};
  stats.state.q99 = {0.2, 0.35, 1.4, 3.7, 1.8, 0.6, 0.04, -0.002};
  stats.actions.mean = {0.05, 0.09, -0.09, 0.0, 0.0, -0.01, 0.0};
  stats.actions.std = {0.35, 0.38, 0.45, 0.04, 0.06, 0.08, 1.0};
  stats.actions.q01 = {-0.7, -0.7, -0.9, -0.1, -0.14, -0.19, -1.0};
  stats.actions.q99 = {0.8, 0.8, 0.8, 0.1, 0.14, 0.18, 1.0};
  return stats;
}

Result<PolicySettings> Settings(const SynthOptions& options, const Geometry& geometry) {
  const bool pi0 = options.type == PolicyType::kPi0;
  VLASERVE_ASSIGN_OR_RETURN(PolicySettings settings,
                            NamedPolicySettings(pi0 ? "pi0_libero" : "pi05_libero"));
  settings.name = "synth_" + std::string(PolicyTypeName(options.type)) +
                  (options.size == SynthSize::kFull ? "_full" : "_tiny");
  settings.horizon = geometry.horizon;
  settings.prompt_slots = geometry.prompt_slots;
  settings.action_dim = geometry.action_dim;
  settings.image_size = geometry.image_size;
  settings.patch_size = geometry.patch_size;
  return settings;
}

}  // namespace

Geometry SynthGeometry(PolicyType type, SynthSize size) {
  const bool pi0 = type == PolicyType::kPi0;
  Geometry g;
  g.type = type;
  g.image_size = 224;
  g.patch_size = 14;
  g.kv_heads = 1;
  g.action_dim = 32;
  g.horizon = pi0 ? 50 : 10;
  g.prompt_slots = pi0 ? 48 : 200;
  if (size == SynthSize::kFull) {
    g.vision_width = 1152;
    g.vision_depth = 27;
    g.vision_heads = 16;
    g.vision_mlp = 4304;
    g.llm_width = 2048;
    g.llm_mlp = 16384;
    g.expert_width = 1024;
    g.expert_mlp = 4096;
    g.depth = 18;
    g.heads = 8;
    g.head_dim = 256;
    g.vocab_size = 257152;
  } else {
    g.vision_width = 96;
    g.vision_depth = 3;
    g.vision_heads = 4;
    g.vision_mlp = 200;
    g.llm_width = 128;
    g.llm_mlp = 320;
    g.expert_width = 64;
    g.expert_mlp = 160;
    g.depth = 3;
    g.heads = 4;
    g.head_dim = 32;
    g.vocab_size = 1024;
  }
  return g;
}

std::vector<ExpectedTensor> SynthTensors(const Geometry& geometry) {
  std::vector<ExpectedTensor> tensors = ExpectedTensors(geometry);
  for (ExpectedTensor& tensor : tensors) {
    if (tensor.name == kEmbedding) tensor.name = kStoredEmbedding;
  }
  tensors.push_back({kExpertLmHead, {geometry.vocab_size, geometry.expert_width}});
  std::sort(tensors.begin(), tensors.end(),
            [](const ExpectedTensor& a, const ExpectedTensor& b) { return a.name < b.name; });
  return tensors;
}

Status SynthesizeCheckpoint(FileSystem& files, const SynthOptions& options,
                            const ProgressSink& progress) {
  const Geometry geometry = SynthGeometry(options.type, options.size);
  VLASERVE_ASSIGN_OR_RETURN(const PolicySettings settings, Settings(options, geometry));
  VLASERVE_RETURN_IF_ERROR(CheckOutput(files, options.out));
  VLASERVE_RETURN_IF_ERROR(files.CreateDirectories(options.out));
  // The weights first: they mark the directory as ours, so that an interrupted run can be repeated.
  VLASERVE_RETURN_IF_ERROR(WriteWeights(files, options, geometry, progress));
  const std::string assets = JoinPath(JoinPath(options.out, "assets"), settings.asset_id);
  VLASERVE_RETURN_IF_ERROR(files.CreateDirectories(assets));
  const std::map<std::string, std::string> small_files = {
      {JoinPath(options.out, "config.json"), ConfigJson(options, geometry)},
      {JoinPath(options.out, "geometry.json"), GeometryToJson(geometry)},
      {JoinPath(options.out, "policy.json"), PolicySettingsToJson(settings)},
      {JoinPath(options.out, "tokenizer.model"),
       std::string(embedded::synth_tokenizer::Find("tokenizer.model"))},
      {JoinPath(assets, "norm_stats.json"), NormStatsToJson(Statistics8And7())}};
  for (const auto& [path, content] : small_files) {
    VLASERVE_RETURN_IF_ERROR(WriteFileAtomically(files, path, content));
  }
  return Status::Ok();
}

}  // namespace vlaserve
