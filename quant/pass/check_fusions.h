// Whether the fusions that a model of ours must give were all found. Includes LibTorch's JIT
// headers.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "quant/engine/int_layer.h"
#include "quant/pass/fuse.h"

namespace vlaserve {

// One sentence for each block of attention or MLP whose linears, by their names (…q_proj, k_proj,
// v_proj; gate_proj, up_proj, down_proj) and packs, should have been fused and were not. `layers`:
// the layers with engine kInt, by name; `wanted` and `counts`: what FuseLinears was given and gave.
// Names that mean nothing here are left alone.
std::vector<std::string> MissingFusions(const std::map<std::string, const IntLayer*>& layers,
                                        const std::set<Fusion>& wanted,
                                        std::span<const FusionCount> counts);

}  // namespace vlaserve
