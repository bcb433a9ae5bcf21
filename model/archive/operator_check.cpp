#include "model/archive/operator_check.h"

#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include <torch/csrc/jit/api/compilation_unit.h>
#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/passes/inliner.h>

#include "model/archive/operator_allow_list.h"
#include "model/archive/torch_errors.h"

namespace vlaserve {
namespace {

using namespace torch::jit;

constexpr uint64_t kMaxNodes = 1'000'000;

std::string LineOf(const Node& node) {
  const SourceRange range = node.sourceRange();
  const auto place = range.file_line_col();
  if (!place.has_value()) return {};
  const auto& [file, line, column] = *place;
  return " (" + file + ", line " + std::to_string(line) + ")";
}

// Nodes of a function with all calls inlined, as LibTorch will do before running it; saturates at
// kMaxNodes. LibTorch compiles no recursive functions.
class SizeEstimate {
 public:
  uint64_t Of(GraphFunction& function) {
    const auto [known, inserted] = sizes_.emplace(&function, kMaxNodes);
    if (!inserted) return known->second;
    const uint64_t size = Of(*function.graph()->block());
    sizes_[&function] = size;
    return size;
  }

 private:
  uint64_t Of(const Block& block) {
    uint64_t size = 0;
    for (Node* node : const_cast<Block&>(block).nodes()) {
      GraphFunction* callee = tryToGraphFunction(node);
      size += callee == nullptr ? 1 : Of(*callee);
      for (const Block* inner : node->blocks()) size += Of(*inner);
      if (size >= kMaxNodes) return kMaxNodes;
    }
    return size;
  }

  std::map<const GraphFunction*, uint64_t> sizes_;
};

// The function that a call node runs and its arguments; null for everything else and for calls
// through an interface.
GraphFunction* Callee(Node& node) {
  const bool call = node.kind() == prim::CallMethod || node.kind() == prim::CallFunction;
  return call ? tryToGraphFunction(&node) : nullptr;
}
at::ArrayRef<Value*> CallArguments(Node& call) {
  return call.inputs().slice(call.kind() == prim::CallFunction ? 1 : 0);
}

// Finds operators that write into what an attribute or constant holds.
//
// A value is "stored" if it may share memory with an attribute or a tensor constant; a parameter is
// if any call passes such a value. The marks only grow, so walking all functions until nothing
// changes ends; then the writes are looked for.
class StoredWrites {
 public:
  void Mark(const std::vector<GraphFunction*>& functions) {
    do {
      changed_ = false;
      for (GraphFunction* function : functions) Mark(*function->graph()->block());
    } while (changed_);
  }

  // The first such operator; null if there is none.
  const Node* Find(Block& block) const {
    for (Node* node : block.nodes()) {
      for (Block* inner : node->blocks()) {
        if (const Node* found = Find(*inner)) return found;
      }
      const c10::FunctionSchema* schema = node->maybeSchema();
      if (schema == nullptr) continue;
      for (size_t i = 0; i < node->inputs().size(); ++i) {
        const c10::AliasInfo* alias = AliasOf(*schema, i);
        if (alias != nullptr && alias->isWrite() && Stored(node->input(i)) &&
            node->input(i)->type()->kind() == c10::TypeKind::TensorType) {
          return node;
        }
      }
    }
    return nullptr;
  }

 private:
  static bool HoldsMemory(const Value& value) {
    switch (value.type()->kind()) {
      case c10::TypeKind::ClassType:  // modules: their attributes are marked where they are read
      case c10::TypeKind::IntType:
      case c10::TypeKind::FloatType:
      case c10::TypeKind::BoolType:
      case c10::TypeKind::NumberType:
      case c10::TypeKind::StringType:
      case c10::TypeKind::NoneType:
      case c10::TypeKind::DeviceObjType:
        return false;
      default:
        return true;
    }
  }

  // Null for the variable arguments of aten::format and its like, too.
  static const c10::AliasInfo* AliasOf(const c10::FunctionSchema& schema, size_t argument) {
    if (argument >= schema.arguments().size()) return nullptr;
    return schema.arguments()[argument].alias_info();
  }

  bool Stored(const Value* value) const { return stored_.contains(value); }
  void Store(const Value* value) {
    if (HoldsMemory(*value)) changed_ = stored_.insert(value).second || changed_;
  }
  void StoreAll(at::ArrayRef<Value*> from, at::ArrayRef<Value*> to) {
    for (size_t i = 0; i < from.size() && i < to.size(); ++i) {
      if (Stored(from[i])) Store(to[i]);
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
            StoreAll(inner->outputs(), node->outputs());
          }
          break;
        case prim::Loop: {
          Block* body = node->blocks().at(0);
          // Loop inputs: trip count, condition, carried values; body inputs: index, carried
          // values; body outputs: condition, carried values.
          StoreAll(node->inputs().slice(2), body->inputs().slice(1));
          Mark(*body);
          StoreAll(body->outputs().slice(1), body->inputs().slice(1));
          StoreAll(body->outputs().slice(1), node->outputs());
          StoreAll(node->inputs().slice(2), node->outputs());
          break;
        }
        case prim::CallMethod:
        case prim::CallFunction:
          if (GraphFunction* callee = Callee(*node)) {
            StoreAll(CallArguments(*node), callee->graph()->inputs());
            StoreAll(callee->graph()->outputs(), node->outputs());
          }
          break;
        default:
          MarkOperator(*node);
      }
    }
  }

  void MarkOperator(Node& node) {
    const c10::FunctionSchema* schema = node.maybeSchema();
    bool any_stored = false;
    for (size_t i = 0; i < node.inputs().size(); ++i) {
      if (!Stored(node.input(i))) continue;
      // Without a schema (tuples, lists, unpacking): assume that the outputs share memory.
      any_stored = any_stored || schema == nullptr || node.kind().is_prim() ||
                   AliasOf(*schema, i) != nullptr;
    }
    if (!any_stored) return;
    for (const Value* output : node.outputs()) Store(output);
    if (schema == nullptr) return;
    // append(list, stored tensor) makes the list hold stored memory.
    for (size_t i = 0; i < node.inputs().size(); ++i) {
      const c10::AliasInfo* alias = AliasOf(*schema, i);
      if (alias != nullptr && alias->isWrite() &&
          node.input(i)->type()->kind() != c10::TypeKind::TensorType) {
        Store(node.input(i));
      }
    }
  }

  std::unordered_set<const Value*> stored_;
  bool changed_ = false;
};

const Node* FindRefused(Block& block) {
  for (Node* node : block.nodes()) {
    if (Callee(*node) == nullptr && !OperatorAllowed(node->kind().toQualString())) return node;
    for (Block* inner : node->blocks()) {
      if (const Node* found = FindRefused(*inner)) return found;
    }
  }
  return nullptr;
}

// What is wrong with the functions, which call nothing but each other.
std::optional<std::string> CheckFunctions(const std::vector<GraphFunction*>& functions) {
  const auto method = [](const GraphFunction& function) {
    return "method " + function.qualname().qualifiedName();
  };
  SizeEstimate sizes;
  for (GraphFunction* function : functions) {
    if (const Node* node = FindRefused(*function->graph()->block())) {
      return method(*function) + LineOf(*node) + " uses operator " + node->kind().toQualString() +
             ", which is not on the allow-list for policies; refused";
    }
    if (sizes.Of(*function) >= kMaxNodes) {
      return method(*function) + " inlines to a million operators or more";
    }
  }
  StoredWrites writes;
  writes.Mark(functions);
  for (GraphFunction* function : functions) {
    if (const Node* node = writes.Find(*function->graph()->block())) {
      return method(*function) + LineOf(*node) + " writes with " + node->kind().toQualString() +
             " into a parameter, buffer or constant of the archive; refused";
    }
  }
  return std::nullopt;
}

}  // namespace

Status CheckOperators(const torch::jit::Module& module, const std::string& path) {
  try {
    std::vector<GraphFunction*> functions;
    for (Function* function : module._ivalue()->compilation_unit()->get_functions()) {
      functions.push_back(&toGraphFunction(*function));
    }
    const std::optional<std::string> problem = CheckFunctions(functions);
    if (problem.has_value()) return {StatusCode::kUnreadable, path + ": " + *problem};
    return Status::Ok();
  } catch (const std::exception& error) {
    return TorchFailure(error, path);
  }
}

}  // namespace vlaserve
