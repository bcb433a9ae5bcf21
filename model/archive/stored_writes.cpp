#include "model/archive/stored_writes.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_set>

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/jit/passes/inliner.h>

namespace vlaserve {
namespace {

using namespace torch::jit;

// Sorted. Operators that LibTorch composes of others and whose results are new memory all the same.
// Of the other composed ones some return their input, which their schemas do not say: dropout,
// type_as, atleast_1d, broadcast_tensors, einsum, meshgrid …
constexpr std::array kNewResult = std::to_array<std::string_view>({
    "aten::_convolution",
    "aten::all",
    "aten::any",
    "aten::conv1d",
    "aten::conv2d",
    "aten::conv3d",
    "aten::conv_transpose1d",
    "aten::conv_transpose2d",
    "aten::group_norm",
    "aten::isfinite",
    "aten::layer_norm",
    "aten::linear",
    "aten::log_softmax",
    "aten::matmul",
    "aten::one_hot",
    "aten::outer",
    "aten::rms_norm",
    "aten::scaled_dot_product_attention",
    "aten::softmax",
    "aten::square",
});
static_assert(std::is_sorted(kNewResult.begin(), kNewResult.end()));

// Whether the alias annotations of the operator's schema are all there is to its aliasing.
// PyTorch's own tests hold operators with kernels of their own to their schemas, but not composed
// ones.
bool SchemaTellsAliases(const Node& node, const c10::FunctionSchema& schema) {
  if (std::binary_search(kNewResult.begin(), kNewResult.end(),
                         std::string_view(node.kind().toQualString()))) {
    return true;
  }
  const auto registered = c10::Dispatcher::singleton().findSchema(schema.operator_name());
  return registered.has_value() &&
         !registered->hasKernelForDispatchKey(c10::DispatchKey::CompositeImplicitAutograd);
}

// Null for the variable arguments of aten::format and its like, too.
const c10::AliasInfo* AliasOf(const c10::FunctionSchema& schema, size_t argument) {
  if (argument >= schema.arguments().size()) return nullptr;
  return schema.arguments()[argument].alias_info();
}

bool HoldsMemory(const c10::Type& type) {
  switch (type.kind()) {
    case c10::TypeKind::ClassType:  // modules: their attributes are marked where they are read
    case c10::TypeKind::IntType:
    case c10::TypeKind::FloatType:
    case c10::TypeKind::BoolType:
    case c10::TypeKind::NumberType:
    case c10::TypeKind::StringType:
    case c10::TypeKind::NoneType:
    case c10::TypeKind::DeviceObjType:
      return false;
    case c10::TypeKind::ListType:
    case c10::TypeKind::DictType:
    case c10::TypeKind::TupleType:
    case c10::TypeKind::OptionalType:
    case c10::TypeKind::UnionType: {
      const auto inner = type.containedTypes();
      return std::any_of(inner.begin(), inner.end(),
                         [](const c10::TypePtr& part) { return HoldsMemory(*part); });
    }
    default:
      return true;
  }
}

// Holds tensors that can be exchanged for others later, by anyone who shares it.
bool IsContainer(const c10::Type& type) {
  switch (type.kind()) {
    case c10::TypeKind::TensorType:
      return false;
    case c10::TypeKind::TupleType:
    case c10::TypeKind::OptionalType:
    case c10::TypeKind::UnionType: {
      const auto inner = type.containedTypes();
      return std::any_of(inner.begin(), inner.end(),
                         [](const c10::TypePtr& part) { return IsContainer(*part); });
    }
    default:
      return HoldsMemory(type);
  }
}

// A value is "stored" if it may share memory with an attribute or a tensor constant, or may hold
// such a value; a parameter is if any call passes one. What is put into a container reaches whoever
// shares the container, so between containers marks go both ways. Marks only grow, so walking all
// functions until nothing changes ends.
class StoredValues {
 public:
  explicit StoredValues(const std::vector<GraphFunction*>& functions) {
    do {
      changed_ = false;
      for (GraphFunction* function : functions) Mark(*function->graph()->block());
    } while (changed_);
  }

  bool Contains(const Value* value) const { return stored_.contains(value); }

 private:
  void Store(const Value* value) {
    if (HoldsMemory(*value->type())) changed_ = stored_.insert(value).second || changed_;
  }

  // The values are the same, pair by pair.
  void Join(at::ArrayRef<Value*> from, at::ArrayRef<Value*> to) {
    for (size_t i = 0; i < from.size() && i < to.size(); ++i) {
      if (Contains(from[i])) Store(to[i]);
      if (Contains(to[i]) && IsContainer(*to[i]->type())) Store(from[i]);
    }
  }

  void Mark(Block& block) {
    for (Node* node : block.nodes()) {
      switch (node->kind()) {
        case prim::GetAttr:
        case prim::Constant:
          for (const Value* output : node->outputs()) Store(output);
          break;
        case prim::If:
          for (Block* inner : node->blocks()) {
            Mark(*inner);
            Join(inner->outputs(), node->outputs());
          }
          break;
        case prim::Loop: {
          Block* body = node->blocks().at(0);
          // Loop inputs: trip count, condition, carried values; body inputs: index, carried
          // values; body outputs: condition, carried values.
          Join(node->inputs().slice(2), body->inputs().slice(1));
          Mark(*body);
          Join(body->outputs().slice(1), body->inputs().slice(1));
          Join(body->outputs().slice(1), node->outputs());
          Join(node->inputs().slice(2), node->outputs());
          break;
        }
        case prim::CallMethod:
        case prim::CallFunction:
          if (GraphFunction* callee = Callee(*node)) {
            Join(node->inputs().slice(node->kind() == prim::CallFunction ? 1 : 0),
                 callee->graph()->inputs());
            Join(callee->graph()->outputs(), node->outputs());
          }
          break;
        default:
          MarkOperator(*node);
      }
    }
  }

  void MarkOperator(Node& node) {
    const c10::FunctionSchema* schema = node.maybeSchema();
    bool shares = false;
    for (size_t i = 0; i < node.inputs().size() && !shares; ++i) {
      if (!Contains(node.input(i))) continue;
      // Without a schema: tuples, lists, unpacking.
      shares = schema == nullptr || node.kind().is_prim() || AliasOf(*schema, i) != nullptr ||
               !SchemaTellsAliases(node, *schema);
    }
    for (const Value* output : node.outputs()) {
      if (shares) Store(output);
      shares = shares || (Contains(output) && IsContainer(*output->type()));
    }
    if (!shares) return;
    for (const Value* input : node.inputs()) {
      if (IsContainer(*input->type())) Store(input);
    }
  }

  std::unordered_set<const Value*> stored_;
  bool changed_ = false;
};

const Node* FindWrite(Block& block, const StoredValues& stored) {
  for (Node* node : block.nodes()) {
    for (Block* inner : node->blocks()) {
      if (const Node* found = FindWrite(*inner, stored)) return found;
    }
    const c10::FunctionSchema* schema = node->maybeSchema();
    if (schema == nullptr) continue;
    for (size_t i = 0; i < node->inputs().size(); ++i) {
      const c10::AliasInfo* alias = AliasOf(*schema, i);
      if (alias != nullptr && alias->isWrite() && stored.Contains(node->input(i)) &&
          node->input(i)->type()->kind() == c10::TypeKind::TensorType) {
        return node;
      }
    }
  }
  return nullptr;
}

}  // namespace

GraphFunction* Callee(Node& node) {
  const bool call = node.kind() == prim::CallMethod || node.kind() == prim::CallFunction;
  return call ? tryToGraphFunction(&node) : nullptr;
}

const Node* FindStoredWrite(const std::vector<GraphFunction*>& functions) {
  const StoredValues stored(functions);
  for (GraphFunction* function : functions) {
    if (const Node* found = FindWrite(*function->graph()->block(), stored)) return found;
  }
  return nullptr;
}

}  // namespace vlaserve
