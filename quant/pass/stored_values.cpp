#include "quant/pass/stored_values.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <torch/csrc/jit/ir/constants.h>

namespace vlaserve {
namespace {

using torch::jit::Block;
using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;
namespace prim = c10::prim;

}  // namespace

bool StoredTensor::SameAs(const StoredTensor& other) const {
  if (object != nullptr || other.object != nullptr) {
    return object == other.object && slot == other.slot;
  }
  return tensor.const_data_ptr() == other.tensor.const_data_ptr() &&
         tensor.sizes() == other.tensor.sizes() && tensor.strides() == other.tensor.strides() &&
         tensor.scalar_type() == other.tensor.scalar_type();
}

bool KeepsNumbers(const Node& node) {
  constexpr auto kKinds = std::to_array<std::string_view>(
      {"aten::_unwrap_optional", "aten::alias", "aten::contiguous", "aten::detach", "aten::to",
       "prim::unchecked_cast", "prim::unchecked_unwrap_optional"});
  return std::find(kKinds.begin(), kKinds.end(), node.kind().toQualString()) != kKinds.end();
}

StoredValues::StoredValues(Graph& graph, const torch::jit::Module& root) {
  objects_[graph.inputs().at(0)] = {root._ivalue(), ""};
  VisitBlock(*graph.block());
}

const StoredTensor* StoredValues::Find(const Value* value) const {
  const auto found = tensors_.find(value);
  return found == tensors_.end() ? nullptr : found->second.get();
}

bool StoredValues::IsNone(const Value* value) const {
  return value->type()->kind() == c10::TypeKind::NoneType || value->mustBeNone();
}

void StoredValues::Add(Value* value, std::shared_ptr<const StoredTensor> tensor) {
  tensors_[value] = std::move(tensor);
  values_.push_back(value);
}

void StoredValues::VisitAttribute(Node& node) {
  const auto owner = objects_.find(node.input());
  if (owner == objects_.end()) return;
  const Object parent = owner->second;
  const std::string& name = node.s(c10::attr::name);
  const size_t slot = parent.object->type()->getAttributeSlot(name);
  const c10::IValue& value = parent.object->getSlot(slot);
  const std::string path = parent.path.empty() ? name : parent.path + "." + name;
  if (value.isObject()) {
    objects_[node.output()] = {value.toObject(), path};
  } else if (value.isTensor() && value.toTensor().defined()) {
    Add(node.output(),
        std::make_shared<StoredTensor>(StoredTensor{path, value.toTensor(), parent.object, slot}));
  }
}

void StoredValues::VisitBlock(Block& block) {
  for (Node* node : block.nodes()) {
    if (node->kind() == prim::GetAttr) {
      VisitAttribute(*node);
    } else if (node->kind() == prim::Constant) {
      const auto value = torch::jit::toIValue(node->output());
      if (value && value->isTensor() && value->toTensor().defined()) {
        Add(node->output(),
            std::make_shared<StoredTensor>(StoredTensor{"", value->toTensor(), nullptr, 0}));
      }
    } else if (node->kind() == c10::aten::linear) {
      linears_.push_back(node);
    } else if (KeepsNumbers(*node)) {
      const auto source = tensors_.find(node->input(0));
      if (source != tensors_.end()) Add(node->output(), source->second);
    }
    for (Block* inner : node->blocks()) VisitBlock(*inner);
  }
}

}  // namespace vlaserve
