#include "tests/model/checkpoint/stored_tensors.h"

#include <cstring>
#include <span>

#include "model/checkpoint/checkpoint.h"
#include "tests/support/catch.h"

namespace vlaserve {

Geometry SmallGeometry(PolicyType type) {
  Geometry g;
  g.type = type;
  g.image_size = 28;
  g.patch_size = 14;
  g.vision_width = 32;
  g.vision_depth = 2;
  g.vision_heads = 16;
  g.vision_mlp = 24;
  g.llm_width = 20;
  g.llm_mlp = 36;
  g.expert_width = 12;
  g.expert_mlp = 28;
  g.depth = 2;
  g.heads = 4;
  g.kv_heads = 1;
  g.head_dim = 6;
  g.vocab_size = 40;
  g.action_dim = 10;
  g.horizon = type == PolicyType::kPi0 ? 5 : 3;
  g.prompt_slots = 9;
  return g;
}

StoredTensor FilledTensor(std::string_view name, std::vector<int64_t> shape, DType dtype) {
  size_t size = DTypeSize(dtype);
  for (int64_t dim : shape) size *= static_cast<size_t>(dim);
  const std::string pattern = std::string(name) + "\n";
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = pattern[i % pattern.size()];
  return {dtype, std::move(shape), std::move(bytes)};
}

StoredTensor VectorTensor(const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return {DType::kF32, {static_cast<int64_t>(values.size())}, std::move(bytes)};
}

StoredTensors OpenpiTensors(const Geometry& geometry) {
  StoredTensors tensors;
  for (const ExpectedTensor& expected : ExpectedTensors(geometry)) {
    const bool embedding = expected.name.ends_with("embed_tokens.weight");
    const std::string stored =
        embedding ? "paligemma_with_expert.paligemma.lm_head.weight" : expected.name;
    tensors[stored] = FilledTensor(expected.name, expected.shape);
  }
  return tensors;
}

StoredTensors ReadTensors(const SafetensorsFile& file) {
  StoredTensors tensors;
  for (const auto& [name, view] : file.tensors()) {
    tensors[name] = {view.dtype, view.shape, std::string(Bytes(view))};
  }
  return tensors;
}

void WriteTensors(const std::string& path, const StoredTensors& tensors) {
  std::vector<SafetensorsWriter::Declaration> declarations;
  for (const auto& [name, tensor] : tensors) {
    declarations.push_back({name, tensor.dtype, tensor.shape});
  }
  Result<SafetensorsWriter> writer =
      SafetensorsWriter::Create(PosixFileSystem(), path, std::move(declarations), {});
  INFO(writer.status().message());
  REQUIRE(writer.ok());
  for (const auto& [name, tensor] : tensors) {
    REQUIRE(writer->Append(std::as_bytes(std::span(tensor.bytes))).ok());
  }
  REQUIRE(writer->Finish().ok());
}

std::string_view Bytes(const TensorView& view) {
  return {reinterpret_cast<const char*>(view.bytes.data()), view.bytes.size()};
}

}  // namespace vlaserve
