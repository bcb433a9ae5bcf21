// Quantization as commands use it: the pack cache of a configuration, the observer, and what a
// QuantSummary means in words and numbers.
#pragma once

#include <memory>
#include <string>

#include "model/io/status.h"
#include "quant/cache/pack_cache.h"
#include "quant/engine/observer.h"
#include "quant/quantize.h"
#include "server/config/server_config.h"
#include "server/service/server.h"

namespace vlaserve {

// Warnings of the cache go to the log.
Result<std::unique_ptr<PackCache>> OpenPackCache(const ServerConfig& config);

// CACHE and FORWARD lines go to the log; times by the steady clock.
std::shared_ptr<EngineObserver> MakeObserver(const QuantConfig& config);

// "off", "int" …, as the configuration spells it.
std::string_view EngineName(Engine engine);

// "engine: int, 252 of 458 linears quantized (126 expert.attn W4 A8, …), kernel portable, preset
// best_w4a8; 3964.0 MB of weights became 1116.1 MB; packs: 252 from the cache, 0 built".
std::string SummaryLine(const QuantSummary& summary);

// Without resident memory, which is measured when it is asked for.
QuantizationInfo QuantizationInfoOf(const QuantSummary& summary);

}  // namespace vlaserve
