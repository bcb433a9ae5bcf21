#include "server/cli/quantization.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <tuple>
#include <utility>

#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>

namespace vlaserve {
namespace {

double Megabytes(int64_t bytes) { return static_cast<double>(bytes) / 1e6; }

}  // namespace

Result<std::unique_ptr<PackCache>> OpenPackCache(const ServerConfig& config) {
  return PackCache::Open(PosixFileSystem(), config.pack_cache,
                         [](const std::string& line) { spdlog::warn("{}", line); });
}

std::shared_ptr<EngineObserver> MakeObserver(const QuantConfig& config) {
  EngineObserver::Options options;
  options.debug = config.debug;
  options.profile = config.profile;
  options.cuda_sync = config.profile_sync;
  options.clock = [] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  };
  options.log = [](const std::string& line) { spdlog::info("{}", line); };
  return std::make_shared<EngineObserver>(std::move(options));
}

std::string_view EngineName(Engine engine) {
  switch (engine) {
    case Engine::kOff:
      return "off";
    case Engine::kInt:
      return "int";
    case Engine::kFake:
      return "fake";
    case Engine::kLegacyExact:
      return "legacy_exact";
    case Engine::kTransformsOnly:
      return "transforms_only";
  }
  return "";
}

QuantizationInfo QuantizationInfoOf(const QuantSummary& summary) {
  QuantizationInfo info;
  info.engine = EngineName(summary.engine);
  info.preset = summary.preset;
  info.quantized_linears = static_cast<int64_t>(summary.layers.size());
  info.linears = summary.linears;
  info.weight_bytes_before = summary.SourceBytes();
  info.weight_bytes_after = summary.EngineBytes();
  if (!summary.layers.empty()) info.kernel = summary.layers.front().kernel;
  std::map<std::tuple<std::string, int64_t, int64_t>, int64_t> groups;
  for (const QuantizedLayerInfo& layer : summary.layers) {
    const LayerSettings& settings = layer.layer.settings;
    const bool transforms_only = summary.engine == Engine::kTransformsOnly;
    ++groups[{layer.layer.group, transforms_only ? 0 : settings.weight.bits,
              transforms_only ? 0 : settings.activation.bits}];
  }
  for (const auto& [key, linears] : groups) {
    info.groups.push_back({std::get<0>(key), linears, std::get<1>(key), std::get<2>(key)});
  }
  return info;
}

std::string SummaryLine(const QuantSummary& summary) {
  const QuantizationInfo info = QuantizationInfoOf(summary);
  if (info.quantized_linears == 0) {
    return fmt::format("engine: {}, 0 of {} linears quantized, all compute in float", info.engine,
                       info.linears);
  }
  std::string groups;
  for (const QuantizationInfo::Group& group : info.groups) {
    groups += fmt::format("{}{} {} W{} A{}", groups.empty() ? "" : ", ", group.linears,
                          group.name.empty() ? "other" : group.name, group.weight_bits,
                          group.activation_bits);
  }
  const bool lowered = info.weight_bytes_after > 0;  // or only packed
  std::string fusions;
  for (const FusionSummary& fusion : summary.fusions) {
    fusions += fmt::format("{}{} {} of {}", fusions.empty() ? "; fused: " : ", ", fusion.name,
                           fusion.fused, fusion.possible);
  }
  const int64_t unstored = summary.CountFrom(PackSource::kBuiltNotStored);
  return fmt::format(
      "engine: {}, {} of {} linears quantized ({}), kernel {}, preset {}; {:.1f} MB of weights "
      "became {:.1f} MB; packs: {} from the cache, {} built{}{}",
      info.engine, info.quantized_linears, info.linears, groups, info.kernel, info.preset,
      Megabytes(info.weight_bytes_before),
      Megabytes(lowered ? info.weight_bytes_after : summary.PackedBytes()),
      summary.CountFrom(PackSource::kCache), summary.CountFrom(PackSource::kBuilt) + unstored,
      unstored > 0 ? fmt::format(" ({} of them not stored)", unstored) : "", fusions);
}

}  // namespace vlaserve
