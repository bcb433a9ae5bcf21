// Checkpoint files for tests: small models with bytes that tell tensors apart.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "model/checkpoint/geometry.h"
#include "model/io/safetensors.h"

namespace vlaserve {

struct StoredTensor {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::string bytes;
};
// By stored name.
using StoredTensors = std::map<std::string, StoredTensor>;

// A model of a few kilobytes whose sizes are all different where they may be.
Geometry SmallGeometry(PolicyType type);

// Every tensor of the geometry in openpi's layout: the embedding stored as paligemma.lm_head.
StoredTensors OpenpiTensors(const Geometry& geometry);

// A tensor of the given shape with bytes made from `name`.
StoredTensor FilledTensor(std::string_view name, std::vector<int64_t> shape,
                          DType dtype = DType::kF32);

StoredTensor VectorTensor(const std::vector<float>& values);

StoredTensors ReadTensors(const SafetensorsFile& file);

// Writes model.safetensors or another file at `path`; fails the test if it cannot.
void WriteTensors(const std::string& path, const StoredTensors& tensors);

std::string_view Bytes(const TensorView& view);

}  // namespace vlaserve
