// One layer's engine, of the kind that the configuration asks for. Includes LibTorch.
#pragma once

#include <cstdint>
#include <memory>

#include "model/io/status.h"
#include "quant/config/quant_config.h"
#include "quant/engine/engine_inputs.h"
#include "quant/engine/linear_engine.h"

namespace vlaserve {

// `engine` is not kOff. Errors: kInvalidArgument naming layer and option for settings or a pack
// that the engine cannot compute with; kInternal for what LibTorch reports.
Result<std::unique_ptr<LinearEngine>> MakeEngine(Engine engine, EngineInputs inputs);

// Bytes that MakeEngine's result keeps in place of the layer's weight once it has run: the arrays
// of its pack, and for the float engines the weight that they computed from it.
int64_t EngineBytes(Engine engine, const EngineInputs& inputs);

}  // namespace vlaserve
