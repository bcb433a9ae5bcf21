// geometry.json: all sizes of a model as JSON; beside small checkpoints and in every archive.
//
// Keys: model_type ("pi0" | "pi05"), action_dim, action_horizon, max_token_len, vocab_size,
// image_size, patch_size, tokens_per_image; vision {hidden, layers, heads, head_dim, intermediate,
// layer_norm_eps}; llm {width, depth, mlp, heads, kv_heads, head_dim, rms_norm_eps, rope_theta};
// expert {width, depth, mlp, heads, kv_heads, head_dim}; time_embedding {dim, min_period,
// max_period}. All are required; other keys are ignored.
#pragma once

#include <string>
#include <string_view>

#include "model/checkpoint/geometry.h"
#include "model/io/status.h"

namespace vlaserve {

// Ends with a newline; ParseGeometry(GeometryToJson(g)) == g.
std::string GeometryToJson(const Geometry& geometry);

// `origin` names the file in messages. Errors (kUnreadable) name file, key, expected and found;
// sizes that contradict each other (tokens_per_image, head sizes, depths of both stacks) are
// errors.
Result<Geometry> ParseGeometry(std::string_view json_text, std::string_view origin);

}  // namespace vlaserve
