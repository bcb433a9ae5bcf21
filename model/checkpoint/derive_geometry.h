// All sizes of a model from the shapes of its tensors, and from what its files and its policy
// settings say where shapes do not tell.
#pragma once

#include <optional>
#include <string_view>

#include "model/checkpoint/declared_sizes.h"
#include "model/checkpoint/geometry.h"
#include "model/checkpoint/tensor_names.h"
#include "model/io/status.h"
#include "model/settings/policy_settings.h"

namespace vlaserve {

// `tensors`: those of ModelTensors. `policy` may be null. Without geometry.json one KV head is
// assumed (all released models), so that the rows of k_proj are the head size. Errors name
// `origin` (the weights' file), tensor, expected and found: kUnreadable for tensors and files that
// do not fit together, kInvalidArgument where neither they nor the settings say something.
Result<Geometry> DeriveGeometry(const NamedTensors& tensors, PolicyType type,
                                const DeclaredSizes& declared, const PolicySettings* policy,
                                std::string_view origin);

// Every tensor of the geometry is there with its shape and a floating-point dtype, and no other is.
Status CheckTensors(const NamedTensors& tensors, const Geometry& geometry, std::string_view origin);

}  // namespace vlaserve
