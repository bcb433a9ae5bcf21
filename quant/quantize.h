// The quantization pass as a whole: configuration + archive → archive whose graphs call engines.
//
// Free of LibTorch, for the server and the command line. The way through: Select (quant/select) →
// for each layer a pack, from the cache or built (quant/pack, quant/cache) → an engine
// (quant/engine) → the lowering (quant/pass).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/isa.h"
#include "model/archive/archive.h"
#include "model/io/progress.h"
#include "model/io/status.h"
#include "model/policy/run_options.h"
#include "quant/cache/pack_cache.h"
#include "quant/config/quant_config.h"
#include "quant/engine/observer.h"
#include "quant/select/select.h"

namespace vlaserve {

struct EngineInputs;  // quant/engine/engine_inputs.h
class LinearEngine;   // quant/engine/linear_engine.h

// Puts something around the engine that was made from `inputs`, before it is placed. Does not
// throw.
using EngineWrapper = std::function<Result<std::unique_ptr<LinearEngine>>(
    const EngineInputs& inputs, std::unique_ptr<LinearEngine> engine)>;

// What became of one layer.
struct QuantizedLayerInfo {
  SelectedLayer layer;
  PackSource source = PackSource::kCache;
  int64_t source_bytes = 0;  // weight as stored in the archive
  int64_t pack_bytes = 0;    // all arrays of its pack
  int64_t engine_bytes =
      0;               // what serves in the weight's place: EngineBytes, 0 before the lowering
  std::string kernel;  // of kInt the instruction set ("avx2"), "libtorch" for the float engines
};

// How often a fusion (quant/pass/fuse.h) was applied: at `fused` of `possible` places.
struct FusionSummary {
  std::string name;  // "gated_mlp"
  int64_t fused = 0;
  int64_t possible = 0;
};

struct QuantSummary {
  Engine engine = Engine::kOff;
  std::string preset;
  int64_t linears = 0;  // of the archive
  std::vector<QuantizedLayerInfo> layers;
  std::vector<FusionSummary> fusions;  // those of config.fuse; empty for engines other than kInt
  std::vector<std::string> notes;      // one line each: what was mapped, narrowed, or does nothing
  std::vector<std::string> warnings;   // not strict, one line each: what stays float, and why

  int64_t CountFrom(PackSource source) const;
  int64_t SourceBytes() const;  // of the quantized layers
  int64_t PackedBytes() const;
  int64_t EngineBytes() const;
};

struct QuantizeInputs {
  const QuantConfig* config = nullptr;
  PackCache* cache = nullptr;
  const RunOptions* run = nullptr;
  // Lives as long as the archive's module runs; null: nothing is observed.
  std::shared_ptr<EngineObserver> observer;
  std::function<void(const std::string& line)> print;  // the [DUQUANT] lines
  // After each layer, from any thread but one at a time; may be empty.
  std::function<void(int64_t done, int64_t total, const std::string& layer)> progress;
  // Asked before each layer, from any thread: a failure ends the work with that Status; what is
  // packed stays in the cache. May be empty.
  std::function<Status()> interrupt;
  kernels::Isa isa = kernels::CurrentIsa().isa;  // of kInt
  EngineWrapper wrap_engine;                     // empty: engines are placed as they are
};

// Lowers the archive's module. Call it before CreatePolicy, on the same thread. With Engine::kOff
// or dry_run nothing is changed. Weights whose packs are in the cache are not touched.
//
// Errors: those of CheckQuantConfig and Select; kInvalidArgument (field "quant.select.scope") if
// nothing matched, or with the option's key if something configured cannot be applied to a layer
// (with `strict`; without it a warning, and that layer stays float); kUnreadable for a weight that
// does not match its digest; what packing or the cache reports, with the layer's name. With kInt:
// kInvalidArgument (field "VLASERVE_ISA") for an instruction set that cannot be had, and with
// `strict` (field "quant.fuse") if layers of a known model that could be fused were not. The
// archive must not be used after an error.
Result<QuantSummary> QuantizeArchive(Archive& archive, const QuantizeInputs& inputs);

// Builds every pack that is not in the cache yet, on all cores, without touching the module. Errors
// as above.
Result<QuantSummary> PackArchive(Archive& archive, const QuantizeInputs& inputs);

}  // namespace vlaserve
