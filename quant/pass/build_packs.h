// The packs of a plan: from the cache, or built on all cores. Includes LibTorch's JIT headers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/io/status.h"
#include "quant/cache/pack_cache.h"
#include "quant/pass/plan.h"
#include "quant/quantize.h"

namespace vlaserve {

// Of the plan's layers, in their order. A weight is read only if its pack has to be built: then
// checked against its SHA-256 (packs are shared by archives, so a changed weight must never lend
// its pack to the sound one), widened to float32, packed, and its pages given back. One worker
// thread per core, one layer each; how many layers are in memory at a time is limited by bytes.
//
// Packs that are finished when an error or a signal ends the work stay in the cache. Errors: those
// of BuildPack and PackCache::LoadOrBuild, and kUnreadable for a weight that does not match its
// digest, with the layer's name; the first one in layer order. Not strict: a layer that cannot be
// packed (kInvalidArgument) is a warning of the plan and leaves it.
Result<std::vector<LoadedPack>> BuildPacks(const Archive& archive, Plan& plan,
                                           const QuantizeInputs& inputs);

}  // namespace vlaserve
