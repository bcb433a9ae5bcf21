// The shapes that π0 and π0.5 compute with, as the kernel benchmark measures them.
//
// Sizes: PaliGemma's language model (width 2048, hidden 16384, 8 query heads and one KV head of
// 256), the action expert (1024, 4096, the same heads) and SigLIP So400m/14 (1152, 4304, 16 heads
// of 72). Linears that share their input count as one: q, k and v, gate and up.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "model/io/status.h"

namespace vlaserve {

struct LinearShape {
  int64_t in_features = 0;
  int64_t out_features = 0;
};

// GELU(x Wgᵀ) · (x Wuᵀ) Wdᵀ.
struct GatedMlpShape {
  int64_t width = 0;
  int64_t hidden = 0;
};

struct AttentionShape {
  int64_t batch = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t queries = 0;
  int64_t keys = 0;
  int64_t head_dim = 0;
};

struct BenchShape {
  std::string name;  // "llm.qkv"
  std::variant<LinearShape, GatedMlpShape, AttentionShape> sizes;
};

// "2048 -> 2560", for instance.
std::string SizesText(const BenchShape& shape);

const std::vector<BenchShape>& PolicyShapes();

// Those of PolicyShapes that `names` mean, in their order: a name ("llm.qkv"), or a part ("llm").
// "KxN" ("2048x512") is a linear of that size. No names: all.
// Error: kInvalidArgument for one that means nothing.
Result<std::vector<BenchShape>> ChooseShapes(const std::vector<std::string>& names);

}  // namespace vlaserve
