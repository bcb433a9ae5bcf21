#include "model/checkpoint/weight_files.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <vector>

namespace vlaserve {
namespace {

using Entries = std::vector<std::string>;

constexpr std::string_view kWeights = "model.safetensors";
constexpr std::string_view kWeightIndex = "model.safetensors.index.json";

bool Holds(const Entries& entries, std::string_view name) {
  return std::find(entries.begin(), entries.end(), name) != entries.end();
}

// The first entry with one of these endings, else "".
std::string FirstEndingIn(const Entries& entries, std::initializer_list<std::string_view> endings) {
  for (const std::string& entry : entries) {
    for (std::string_view ending : endings) {
      if (entry.ends_with(ending)) return entry;
    }
  }
  return "";
}

// The entry that shows an orbax checkpoint, else "".
std::string OrbaxMarker(FileSystem& files, const std::string& directory, const Entries& entries) {
  for (const std::string& entry : entries) {
    if (entry == "_METADATA" || entry == "_CHECKPOINT_METADATA" || entry == "manifest.ocdbt" ||
        entry.starts_with("ocdbt.process_")) {
      return entry;
    }
    if (entry == "params" && files.IsDirectory(JoinPath(directory, entry))) return entry;
  }
  return "";
}

std::string Listing(const Entries& entries) {
  constexpr size_t kMaxListed = 12;
  std::string listing;
  for (size_t i = 0; i < std::min(entries.size(), kMaxListed); ++i) {
    listing += (i == 0 ? "" : ", ") + entries[i];
  }
  if (entries.size() > kMaxListed) listing += ", ...";
  return listing.empty() ? "nothing" : listing;
}

Status ExplainMissingWeights(FileSystem& files, const std::string& directory,
                             const Entries& entries) {
  const std::string orbax = OrbaxMarker(files, directory, entries);
  if (!orbax.empty()) {
    return {StatusCode::kUnsupported,
            directory + ": this is a JAX/orbax checkpoint (it holds " + orbax +
                "), expected PyTorch safetensors. Convert it with openpi's "
                "examples/convert_jax_model_to_pytorch.py --checkpoint_dir DIR --config_name NAME "
                "--output_path OUT, copy its assets folder to OUT, and export OUT"};
  }
  const std::string pickle = FirstEndingIn(entries, {".bin", ".pt", ".pth", ".ckpt", ".pkl"});
  const std::string safetensors = FirstEndingIn(entries, {".safetensors"});
  if (!pickle.empty() && safetensors.empty()) {
    return {StatusCode::kUnsupported,
            directory + ": the weights are pickled (" + pickle +
                "), which can run code when read. Save them as model.safetensors with "
                "safetensors.torch.save_model"};
  }
  return {StatusCode::kNotFound, directory + ": expected " + std::string(kWeights) + " or " +
                                     std::string(kWeightIndex) + ", found " + Listing(entries)};
}

}  // namespace

Result<SafetensorsFile> OpenWeights(FileSystem& files, const std::string& directory) {
  if (!files.IsDirectory(directory)) {
    return Status(
        StatusCode::kNotFound,
        directory + (files.IsFile(directory) ? ": is a file, expected the checkpoint's directory"
                                             : ": no such checkpoint directory"));
  }
  VLASERVE_ASSIGN_OR_RETURN(const Entries entries, files.List(directory));
  for (std::string_view adapter : {"adapter_config.json", "adapter_model.safetensors"}) {
    if (!Holds(entries, adapter)) continue;
    return Status(StatusCode::kUnsupported,
                  directory + ": holds a LoRA adapter (" + std::string(adapter) +
                      "). Merge it into the base model first (PEFT's merge_and_unload) and export "
                      "the merged model");
  }
  if (Holds(entries, kWeights)) {
    return SafetensorsFile::Open(files, JoinPath(directory, kWeights));
  }
  if (Holds(entries, kWeightIndex)) {
    return SafetensorsFile::OpenSharded(files, JoinPath(directory, kWeightIndex));
  }
  return ExplainMissingWeights(files, directory, entries);
}

}  // namespace vlaserve
