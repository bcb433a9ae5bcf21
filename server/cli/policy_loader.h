// From a configuration to a policy that is served: archive, quantization, weights, and what the
// server says about them. Free of LibTorch headers.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "model/archive/archive.h"
#include "model/io/status.h"
#include "model/policy/policy.h"
#include "model/policy/run_options.h"
#include "quant/engine/observer.h"
#include "server/cli/profiled_policy.h"
#include "server/config/server_config.h"
#include "server/service/server.h"

namespace vlaserve {

// Must outlive the server that it loads for.
class PolicyLoader {
 public:
  // Where the [DUQUANT] and [POLICY] lines go.
  using Print = std::function<void(const std::string& line)>;

  // Opens config.archive. InitializeRuntime must have been called. Errors: those of Archive::Open
  // and ResolveOptions.
  static Result<std::unique_ptr<PolicyLoader>> Open(const ServerConfig& config, Print print);

  // Until Load takes it over.
  const Archive& archive() const { return *archive_; }
  const RunOptions& run() const { return run_; }

  // Before Load.
  ServerInfo Info();

  // The policy factory, once, on the worker thread: quantizes the archive, which may take minutes
  // if packs have to be built, then places attention, then CreatePolicy. What really runs is
  // logged. Errors: those of QuantizeArchive, PlaceAttention and CreatePolicy; kCancelled after
  // Stop.
  Result<std::unique_ptr<Policy>> Load();

  // Ends packing at the next layer. Any thread.
  void Stop() { stopped_ = true; }
  bool stopped() const { return stopped_; }

  // Nothing before the archive is quantized. Any thread.
  std::optional<QuantizationInfo> Quantization();

  // Prints openpi_duquant's tables if quant.profile asks for them; when the policy is gone.
  void PrintProfile() const;

 private:
  PolicyLoader(const ServerConfig& config, std::unique_ptr<Archive> archive, RunOptions run,
               Print print);
  Status Quantize();
  Status ReplaceAttention();

  const ServerConfig config_;
  std::unique_ptr<Archive> archive_;
  const RunOptions run_;
  const Print print_;
  const std::shared_ptr<EngineObserver> observer_;
  const std::shared_ptr<PolicyProfile> profile_;
  std::atomic<bool> stopped_ = false;
  std::mutex mutex_;
  std::optional<QuantizationInfo> quantization_;  // behind mutex_
};

}  // namespace vlaserve
