#include "quant/pass/build_packs.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <utility>

#include <nlohmann/json.hpp>

#include "model/io/hash.h"
#include "model/io/safetensors.h"
#include "quant/pack/npz_pack.h"
#include "quant/pack/packer.h"

namespace vlaserve {
namespace {

// Of layers being built: a quarter of what packing a full-size model may take.
constexpr int64_t kMaxBytes = int64_t{3} << 30;

// A weight in float32, its transformed copy, and codes with their search's scratch.
int64_t BytesNeeded(const PackInputs& inputs) {
  return inputs.out_features * inputs.in_features * int64_t{3 * sizeof(float)};
}

// Lets threads take bytes while there are some left; one that wants more than there are in all goes
// alone.
class MemoryBudget {
 public:
  class Share {
   public:
    Share(MemoryBudget& budget, int64_t bytes) : budget_(budget), bytes_(bytes) {}
    ~Share() {
      const std::lock_guard lock(budget_.mutex_);
      budget_.used_ -= bytes_;
      budget_.freed_.notify_all();
    }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;

   private:
    MemoryBudget& budget_;
    int64_t bytes_;
  };

  Share Take(int64_t bytes) {
    std::unique_lock lock(mutex_);
    freed_.wait(lock, [&] { return used_ == 0 || used_ + bytes <= kMaxBytes; });
    used_ += bytes;
    return Share(*this, bytes);
  }

 private:
  std::mutex mutex_;
  std::condition_variable freed_;
  int64_t used_ = 0;
};

std::span<const std::byte> BytesOf(const at::Tensor& weight) {
  return {static_cast<const std::byte*>(weight.const_data_ptr()), weight.nbytes()};
}

std::string Provenance(const Archive& archive, const PlannedLayer& layer) {
  return nlohmann::json{{"layer", layer.name()}, {"archive_sha256", archive.archive_sha256()}}
      .dump();
}

class Builder {
 public:
  Builder(const Archive& archive, const Plan& plan, const QuantizeInputs& inputs)
      : archive_(archive), plan_(plan), inputs_(inputs), results_(plan.layers.size()) {}

  // One entry per layer; none where a failure elsewhere came first.
  std::vector<std::optional<Result<LoadedPack>>> Run() {
    const size_t threads =
        std::clamp<size_t>(std::thread::hardware_concurrency(), 1, results_.size() + 1);
    {
      std::vector<std::jthread> helpers;
      for (size_t i = 1; i < threads; ++i) helpers.emplace_back([this] { Work(); });
      Work();
    }
    return std::move(results_);
  }

 private:
  void Work() {
    for (size_t i = next_++; i < results_.size() && !failed_; i = next_++) {
      const PlannedLayer& layer = plan_.layers[i];
      results_[i] = Load(layer);
      if (!results_[i]->ok() && !IsSoft(results_[i]->status())) failed_ = true;
      const std::lock_guard lock(progress_mutex_);
      ++done_;
      if (inputs_.progress) {
        inputs_.progress(done_, static_cast<int64_t>(results_.size()), layer.name());
      }
    }
  }

  bool IsSoft(const Status& status) const {
    return !inputs_.config->strict && status.code() == StatusCode::kInvalidArgument;
  }

  Result<LoadedPack> Load(const PlannedLayer& layer) {
    if (inputs_.interrupt) VLASERVE_RETURN_IF_ERROR(inputs_.interrupt());
    const PackKey key(Manifest(layer.pack));
    Result<LoadedPack> pack =
        inputs_.cache->LoadOrBuild(key, Provenance(archive_, layer), [&] { return Build(layer); });
    // The packer names the layer, the cache knows only keys.
    if (pack.ok() || pack.status().message().find(layer.name()) != std::string::npos) return pack;
    return pack.status().WithContext(layer.name());
  }

  Result<PackContents> Build(const PlannedLayer& layer) {
    const MemoryBudget::Share share = budget_.Take(BytesNeeded(layer.pack));
    PackRequest request;
    request.name = layer.name();
    request.out_features = layer.pack.out_features;
    request.in_features = layer.pack.in_features;
    request.settings = layer.pack.settings;
    request.arithmetic = layer.pack.arithmetic;
    request.smooth = layer.smooth;
    request.compat_bugs = layer.pack.compat_bugs;
    std::optional<LayerCalibration> calibration;
    if (plan_.calibration && PackNeedsCalibration(layer.pack.settings)) {
      VLASERVE_ASSIGN_OR_RETURN(calibration,
                                plan_.calibration->Layer(layer.name(), request.in_features));
      request.calibration = &*calibration;
    }
    std::optional<NpzPack> npz;
    if (!layer.npz_path.empty()) {
      VLASERVE_ASSIGN_OR_RETURN(npz, ReadNpzPack(PosixFileSystem(), layer.npz_path));
      request.npz = &*npz;
    }
    VLASERVE_ASSIGN_OR_RETURN(const std::vector<float> weight, ReadWeight(layer));
    request.weight = weight;
    return BuildPack(request);
  }

  Result<std::vector<float>> ReadWeight(const PlannedLayer& layer) const {
    const std::string tensor = layer.name() + ".weight";
    const std::span<const std::byte> bytes = BytesOf(layer.graph.weight);
    if (Sha256Hex(bytes) != layer.pack.weight_sha256) {
      return Status(StatusCode::kUnreadable,
                    archive_.path() + ": tensor " + tensor +
                        " does not match its SHA-256 in digests.json: the file is damaged");
    }
    const TensorView view{archive_.digests().at(tensor).dtype,
                          {layer.pack.out_features, layer.pack.in_features},
                          bytes};
    std::vector<float> weight = view.ToFloats();
    archive_.ReleasePages(tensor);
    return weight;
  }

  const Archive& archive_;
  const Plan& plan_;
  const QuantizeInputs& inputs_;
  std::vector<std::optional<Result<LoadedPack>>> results_;
  MemoryBudget budget_;
  std::atomic<size_t> next_ = 0;
  std::atomic<bool> failed_ = false;
  std::mutex progress_mutex_;
  int64_t done_ = 0;
};

}  // namespace

Result<std::vector<LoadedPack>> BuildPacks(const Archive& archive, Plan& plan,
                                           const QuantizeInputs& inputs) {
  std::vector<std::optional<Result<LoadedPack>>> results = Builder(archive, plan, inputs).Run();
  std::vector<PlannedLayer> packed;
  std::vector<LoadedPack> packs;
  for (size_t i = 0; i < results.size(); ++i) {
    if (!results[i]) continue;
    PlannedLayer& layer = plan.layers[i];
    if (results[i]->ok()) {
      packs.push_back(*std::move(*results[i]));
      packed.push_back(std::move(layer));
      continue;
    }
    const Status status = results[i]->status();
    if (inputs.config->strict || status.code() != StatusCode::kInvalidArgument) return status;
    plan.warnings.push_back(status.message() + "; it stays float");
  }
  plan.layers = std::move(packed);
  return packs;
}

}  // namespace vlaserve
