// Which values of an inlined graph are tensors that the module stores. Includes LibTorch's JIT
// headers.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/ir.h>

namespace vlaserve {

// A tensor attribute of the module or of one below it, or a constant of the graphs (frozen
// modules).
struct StoredTensor {
  std::string path;  // "a.b.weight"; "" for a constant
  at::Tensor tensor;
  c10::intrusive_ptr<c10::ivalue::Object> object;  // null for a constant
  size_t slot = 0;

  // The same attribute, however it is reached, or constants over the same bytes.
  bool SameAs(const StoredTensor& other) const;
};

// Looks a graph over once. Values keep pointing into the graph, which must outlive this.
class StoredValues {
 public:
  StoredValues(torch::jit::Graph& graph, const torch::jit::Module& root);

  // The stored tensor that this value is, looking through casts and detours that keep its numbers
  // (aten::to, detach, contiguous); null if it is none.
  const StoredTensor* Find(const torch::jit::Value* value) const;
  // Whether the value is None, as a constant or an attribute.
  bool IsNone(const torch::jit::Value* value) const;
  // Every value for which Find gives a tensor, in graph order.
  const std::vector<torch::jit::Value*>& values() const { return values_; }
  // Nodes of kind aten::linear, in graph order.
  const std::vector<torch::jit::Node*>& linears() const { return linears_; }

 private:
  struct Object {
    c10::intrusive_ptr<c10::ivalue::Object> object;
    std::string path;
  };

  void VisitBlock(torch::jit::Block& block);
  void VisitAttribute(torch::jit::Node& node);
  void Add(torch::jit::Value* value, std::shared_ptr<const StoredTensor> tensor);

  std::unordered_map<const torch::jit::Value*, Object> objects_;
  std::unordered_map<const torch::jit::Value*, std::shared_ptr<const StoredTensor>> tensors_;
  std::vector<torch::jit::Value*> values_;
  std::vector<torch::jit::Node*> linears_;
};

// Whether the node hands the numbers of its input 0 on as its output, at most in another dtype.
bool KeepsNumbers(const torch::jit::Node& node);

}  // namespace vlaserve
