// The sizes of the released models.
#pragma once

#include "model/checkpoint/geometry.h"

namespace vlaserve {

inline Geometry FullSizeGeometry(PolicyType type) {
  Geometry g;
  g.type = type;
  g.image_size = 224;
  g.patch_size = 14;
  g.vision_width = 1152;
  g.vision_depth = 27;
  g.vision_heads = 16;
  g.vision_mlp = 4304;
  g.llm_width = 2048;
  g.llm_mlp = 16384;
  g.expert_width = 1024;
  g.expert_mlp = 4096;
  g.depth = 18;
  g.heads = 8;
  g.kv_heads = 1;
  g.head_dim = 256;
  g.vocab_size = 257152;
  g.action_dim = 32;
  g.horizon = type == PolicyType::kPi0 ? 50 : 10;
  g.prompt_slots = type == PolicyType::kPi0 ? 48 : 200;
  return g;
}

}  // namespace vlaserve
