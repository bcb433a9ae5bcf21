#include "quant/pass/place_attention.h"

#include <optional>
#include <utility>
#include <vector>

#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>

#include "kernels/torch_ops.h"
#include "model/archive/archive.h"
#include "model/archive/module.h"
#include "model/archive/torch_errors.h"
#include "quant/pass/inlined_method.h"

namespace vlaserve {
namespace {

using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Use;
using torch::jit::Value;
using torch::jit::WithInsertPoint;

bool IsInt(const Value* value, int64_t expected) {
  const std::optional<c10::IValue> constant = torch::jit::toIValue(value);
  return constant && constant->isInt() && constant->toInt() == expected;
}

bool IsFalse(const Value* value) {
  const std::optional<c10::IValue> constant = torch::jit::toIValue(value);
  return constant && constant->isBool() && !constant->toBool();
}

bool IsZero(const Value* value) {
  const std::optional<c10::IValue> constant = torch::jit::toIValue(value);
  return constant && constant->isDouble() && constant->toDouble() == 0;
}

bool IsNone(const Value* value) {
  const std::optional<c10::IValue> constant = torch::jit::toIValue(value);
  return constant && constant->isNone();
}

// scaled_dot_product_attention(q, k, v, bias, dropout, is_causal, scale, enable_gqa).
bool IsPlain(const Node& attention) {
  return attention.inputs().size() == 8 && IsZero(attention.input(4)) &&
         IsFalse(attention.input(5)) && IsNone(attention.input(6)) && IsFalse(attention.input(7));
}

// The only reader of the node's output; null if there are several.
Node* OnlyReader(const Node& node) {
  const std::vector<Use>& uses = node.output()->uses();
  return uses.size() == 1 && uses[0].offset == 0 ? uses[0].user : nullptr;
}

// The elements of a list that is written out in the graph; empty if it is none.
at::ArrayRef<Value*> ListItems(Value* list) {
  if (list->node()->kind() != c10::prim::ListConstruct) return {};
  return list->node()->inputs();
}

// Whether a tensor could be written to between two nodes.
bool IsWrittenBetween(const Node& first, const Node& last) {
  if (first.owningBlock() != last.owningBlock()) return true;
  for (const Node* node = first.next(); node != &last; node = node->next()) {
    const torch::jit::FunctionSchema* schema = node->maybeSchema();
    if (schema != nullptr && schema->is_mutable()) return true;
    for (const torch::jit::Block* block : node->blocks()) {
      for (const Node* inner : block->nodes()) {
        const torch::jit::FunctionSchema* inner_schema = inner->maybeSchema();
        if (!inner->blocks().empty() || (inner_schema != nullptr && inner_schema->is_mutable())) {
          return true;
        }
      }
    }
  }
  return false;
}

// The transpose(1, 2) behind the attention, if a reshape alone reads it; else null.
Node* FindTranspose(const Node& attention) {
  Node* transpose = OnlyReader(attention);
  if (transpose == nullptr || transpose->kind() != c10::aten::transpose ||
      transpose->inputs().size() != 3 || !IsInt(transpose->input(1), 1) ||
      !IsInt(transpose->input(2), 2) || IsWrittenBetween(attention, *transpose)) {
    return nullptr;
  }
  const Node* reshape = OnlyReader(*transpose);
  return reshape != nullptr && reshape->kind() == c10::aten::reshape ? transpose : nullptr;
}

bool IsAtenSize(const Value* value, const Value* tensor, int64_t dimension) {
  const Node* node = value->node();
  return node->kind() == c10::aten::size && node->inputs().size() == 2 &&
         node->input(0) == tensor && IsInt(node->input(1), dimension);
}

// [B, KV, T, D] for a value that is it with every KV head repeated, [B, H, T, D]:
//   shared = buffer.narrow(2, 0, T);  shared.unsqueeze(2).expand([-1, -1, n, -1, -1])
//       .reshape([buffer.size(0), H, T, D])
// Else the value itself. If attention accepts the shape [B, H, T, D], then H = KV · n.
Value* WithoutRepeats(Value* repeated, const Node& attention) {
  const Node* reshape = repeated->node();
  if (reshape->kind() != c10::aten::reshape || reshape->owningBlock() != attention.owningBlock()) {
    return repeated;
  }
  const Node* expand = reshape->input(0)->node();
  if (expand->kind() != c10::aten::expand) return repeated;
  const Node* unsqueeze = expand->input(0)->node();
  if (unsqueeze->kind() != c10::aten::unsqueeze || !IsInt(unsqueeze->input(1), 2)) return repeated;
  Value* shared = unsqueeze->input(0);
  const Node* narrow = shared->node();
  if (narrow->kind() != c10::aten::narrow || !IsInt(narrow->input(1), 2)) return repeated;

  const at::ArrayRef<Value*> repeats = ListItems(expand->input(1));
  const at::ArrayRef<Value*> shape = ListItems(reshape->input(1));
  if (repeats.size() != 5 || shape.size() != 4) return repeated;
  for (const size_t kept : {0U, 1U, 3U, 4U}) {
    if (!IsInt(repeats[kept], -1)) return repeated;
  }
  if (!IsAtenSize(shape[0], narrow->input(0), 0) || shape[2] != narrow->input(3)) return repeated;
  return IsWrittenBetween(*reshape, attention) ? repeated : shared;
}

void Replace(Graph& graph, Node* attention, Node* transpose) {
  Value* keys = WithoutRepeats(attention->input(1), *attention);
  Value* values = WithoutRepeats(attention->input(2), *attention);
  if (keys == attention->input(1) || values == attention->input(2)) {  // both or none
    keys = attention->input(1);
    values = attention->input(2);
  }
  const WithInsertPoint guard(transpose);
  Value* mixed =
      graph.insert(AttentionSymbol(), {attention->input(0), keys, values, attention->input(3)});
  mixed->node()->copyMetadata(attention);
  transpose->output()->replaceAllUsesWith(mixed);
  transpose->destroy();
  attention->destroy();
}

void FindAttention(torch::jit::Block& block, std::vector<Node*>& found) {
  for (Node* node : block.nodes()) {
    if (node->kind() == c10::aten::scaled_dot_product_attention) found.push_back(node);
    for (torch::jit::Block* inner : node->blocks()) FindAttention(*inner, found);
  }
}

}  // namespace

Result<AttentionPlaces> PlaceAttention(const torch::jit::Module& module) {
  return CatchTorchErrors("placing attention", [&]() -> Result<AttentionPlaces> {
    AttentionPlaces places;
    for (const InlinedMethod& method : InlineMethods(module)) {
      std::vector<Node*> found;
      FindAttention(*method.graph->block(), found);
      places.possible += static_cast<int64_t>(found.size());
      const int64_t placed_before = places.placed;
      for (Node* attention : found) {
        Node* transpose = IsPlain(*attention) ? FindTranspose(*attention) : nullptr;
        if (transpose == nullptr) continue;
        Replace(*method.graph, attention, transpose);
        ++places.placed;
      }
      if (places.placed == placed_before) continue;
      torch::jit::EliminateDeadCode(method.graph);
      ReplaceMethod(module, method);
    }
    return places;
  });
}

Result<AttentionPlaces> PlaceAttention(Archive& archive) {
  return PlaceAttention(archive.module().module);
}

}  // namespace vlaserve
