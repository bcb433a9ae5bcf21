#include "model/export/export.h"

#include <cstddef>
#include <filesystem>
#include <span>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "model/archive/archive_tables.h"
#include "model/checkpoint/checkpoint.h"
#include "model/checkpoint/geometry_json.h"
#include "model/checkpoint/norm_stats.h"
#include "model/export/archive_writer.h"
#include "model/export/weights.h"
#include "model/transforms/tokenizer.h"

namespace vlaserve {
namespace {

constexpr size_t kMaxTokenizerBytes = size_t{64} << 20;

struct NamedFile {
  std::string path;
  std::string content;
};

Status MissingTokenizer(const std::vector<std::string>& looked_for) {
  std::string places;
  for (const std::string& path : looked_for) places += (places.empty() ? "" : ", ") + path;
  return {
      StatusCode::kNotFound,
      "no tokenizer: looked for " + places +
          ". Real π0 and π0.5 models use PaliGemma's SentencePiece file: download "
          "https://storage.googleapis.com/big_vision/paligemma_tokenizer.model (openpi keeps it "
          "in its cache under big_vision/), or take tokenizer.model of google/paligemma-3b-pt-224 "
          "from the Hugging Face Hub, and name it with --tokenizer FILE"};
}

Result<NamedFile> FindTokenizer(FileSystem& files, const ExportOptions& options,
                                const PolicySettings& settings) {
  std::vector<std::string> candidates;
  if (!options.tokenizer.empty()) {
    candidates = {options.tokenizer};
  } else {
    const std::string assets = JoinPath(options.checkpoint, "assets");
    std::vector<std::string> directories = {options.checkpoint, assets};
    if (!settings.asset_id.empty()) directories.push_back(JoinPath(assets, settings.asset_id));
    for (const std::string& directory : directories) {
      candidates.push_back(JoinPath(directory, "tokenizer.model"));
      candidates.push_back(JoinPath(directory, "paligemma_tokenizer.model"));
    }
  }
  for (const std::string& path : candidates) {
    if (!files.IsFile(path)) continue;
    VLASERVE_ASSIGN_OR_RETURN(std::string content, files.Read(path, kMaxTokenizerBytes));
    return NamedFile{path, std::move(content)};
  }
  return MissingTokenizer(candidates);
}

// The tokenizer must be one that the policy can use: parsable, no id beyond the embedding.
Status CheckTokenizer(const NamedFile& tokenizer, const Geometry& geometry) {
  VLASERVE_ASSIGN_OR_RETURN(const Tokenizer parsed,
                            Tokenizer::Parse(tokenizer.content, tokenizer.path));
  if (parsed.vocab_size() <= geometry.vocab_size) return Status::Ok();
  return {StatusCode::kFailedPrecondition,
          tokenizer.path + ": has " + std::to_string(parsed.vocab_size()) +
              " pieces, but the checkpoint's embedding only " +
              std::to_string(geometry.vocab_size) + " rows; this is another model's tokenizer"};
}

Status NoSettings(const Checkpoint& checkpoint) {
  std::string names;
  for (const std::string& name : NamedPolicies()) names += (names.empty() ? "" : ", ") + name;
  return {StatusCode::kInvalidArgument, "policy",
          checkpoint.directory +
              " does not say what policy it is (no policy.json, no LeRobot processors): "
              "name one with --policy (" +
              names + ", or a settings file)"};
}

std::string_view StoredDtypeName(StoredDtype dtype) {
  switch (dtype) {
    case StoredDtype::kAsStored:
      return "as_stored";
    case StoredDtype::kFloat32:
      return "float32";
    case StoredDtype::kBfloat16:
      return "bfloat16";
  }
  return {};
}

std::string FileName(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

std::string ExportToJson(const ExportOptions& options, const Checkpoint& checkpoint,
                         const std::string& tokenizer_path) {
  const nlohmann::ordered_json root = {
      {"format", 1},
      {"vlaserve_version", VLASERVE_VERSION},
      {"checkpoint_layout", checkpoint.layout == CheckpointLayout::kOpenpi ? "openpi" : "lerobot"},
      {"checkpoint_file", FileName(checkpoint.file.path())},
      {"tokenizer_file", FileName(tokenizer_path)},
      {"dtype", StoredDtypeName(options.dtype)}};
  // File names need not be UTF-8.
  return root.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

Result<ExportSummary> ExportPolicy(FileSystem& files, const ExportOptions& options,
                                   const ProgressSink& progress) {
  progress("reading " + options.checkpoint);
  VLASERVE_ASSIGN_OR_RETURN(const Checkpoint checkpoint,
                            OpenCheckpoint(files, options.checkpoint, options.policy));
  const Geometry& geometry = checkpoint.geometry;
  if (!checkpoint.settings) return NoSettings(checkpoint);
  const PolicySettings& settings = *checkpoint.settings;
  VLASERVE_ASSIGN_OR_RETURN(const NormStats norm_stats,
                            LoadNormStats(files, options.checkpoint, options.norm_stats, settings));
  VLASERVE_ASSIGN_OR_RETURN(const NamedFile tokenizer, FindTokenizer(files, options, settings));
  VLASERVE_RETURN_IF_ERROR(CheckTokenizer(tokenizer, geometry));

  progress("checking and hashing " + std::to_string(checkpoint.tensors.size()) + " tensors");
  const std::string parent = std::filesystem::path(options.out).parent_path().string();
  VLASERVE_ASSIGN_OR_RETURN(
      ArchiveWeights weights,
      PrepareWeights(files, checkpoint, options.dtype, parent.empty() ? "." : parent, progress));
  const std::vector<float> rope_inv_freq = RopeInvFreq(geometry);
  const TensorView rope_view = {DType::kF32,
                                {static_cast<int64_t>(rope_inv_freq.size())},
                                std::as_bytes(std::span(rope_inv_freq))};
  weights.tensors["rope_inv_freq"] = rope_view;
  weights.digests["rope_inv_freq"] = DigestTensor(rope_view);

  progress("writing " + options.out);
  const std::map<std::string, std::string> extra_files = {
      {"policy.json", PolicySettingsToJson(settings)},
      {"geometry.json", GeometryToJson(geometry)},
      {"norm_stats.json", NormStatsToJson(norm_stats)},
      {"tokenizer.model", tokenizer.content},
      {"linears.json", LinearsToJson(ReferenceLinears(geometry))},
      {"digests.json", DigestsToJson(weights.digests)},
      {"export.json", ExportToJson(options, checkpoint, tokenizer.path)}};

  ExportSummary summary;
  VLASERVE_ASSIGN_OR_RETURN(summary.bytes, WritePolicyArchive(files, geometry, weights.tensors,
                                                              extra_files, options.out));
  summary.type = geometry.type;
  summary.tensors = static_cast<int64_t>(weights.tensors.size());
  for (const auto& [name, tensor] : weights.tensors) summary.elements += tensor.numel();
  summary.archive_sha256 = WeightsSha256(weights.digests);
  return summary;
}

}  // namespace vlaserve
