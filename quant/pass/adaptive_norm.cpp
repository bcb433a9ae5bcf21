#include "quant/pass/adaptive_norm.h"

#include <optional>
#include <vector>

#include <ATen/ops/empty.h>
#include <torch/csrc/jit/ir/constants.h>

#include "quant/pass/stored_values.h"

namespace vlaserve {
namespace {

using torch::jit::Block;
using torch::jit::Node;
using torch::jit::Use;
using torch::jit::Value;
namespace aten = c10::aten;
namespace prim = c10::prim;

constexpr int64_t kScalePart = 0;
constexpr int64_t kShiftPart = 1;
constexpr int64_t kParts = 3;

std::optional<int64_t> Integer(const Value* value) {
  const std::optional<c10::IValue> constant = torch::jit::toIValue(value);
  if (!constant || !constant->isInt()) return std::nullopt;
  return constant->toInt();
}

// What the value is before casts and Optional's detours.
const Value* Origin(const Value* value) {
  while (KeepsNumbers(*value->node())) value = value->node()->input(0);
  return value;
}

bool IsArgument(const Value* value) {
  return value->node()->kind() == prim::Param &&
         value->node()->owningBlock() == value->owningGraph()->block();
}

bool IsNone(const Value* value) {
  return value->type()->kind() == c10::TypeKind::NoneType || value->mustBeNone();
}

}  // namespace

bool ComputesInFloat32(const Node& linear) {
  const Node* cast = linear.input(1)->node();
  return cast->kind() == aten::to && IsConstant(cast->input(1), static_cast<int64_t>(at::kFloat));
}

bool AdaptiveNormUses::TakeDense(const Node& dense) {
  scales_.clear();
  shifts_.clear();
  const bool taken = AllUses(dense.output(), [&](const Use& use) {
    const bool listed = use.user->kind() == prim::ListConstruct || use.user->kind() == aten::append;
    return listed ? TakeListItem(use) : TakeUse(use);
  });
  return taken && TakeSums();
}

// The list is filled in one block and then stacked.
bool AdaptiveNormUses::TakeListItem(const Use& item) {
  const bool appended = item.user->kind() == aten::append;
  const Value* list = appended ? item.user->input(0) : item.user->output();
  if (list->node()->kind() != prim::ListConstruct || (appended && item.offset != 1)) return false;
  auto index = static_cast<int64_t>(appended ? list->node()->inputs().size() : item.offset);
  const Value* table = nullptr;
  for (const Use& use : list->uses()) {
    const bool same_block = use.user->owningBlock() == list->node()->owningBlock();
    if (!same_block || use.offset != 0) return false;
    if (use.user->kind() == aten::append) {
      if (use.user->output()->hasUses()) return false;
      if (appended && use.user->isBefore(item.user)) ++index;
    } else if (use.user->kind() == aten::stack && table == nullptr &&
               IsConstant(use.user->input(1), 1) && item.user->isBefore(use.user)) {
      table = use.user->output();
    } else {
      return false;
    }
  }
  return table != nullptr && TakeTable(table, index);
}

bool AdaptiveNormUses::TakeTable(const Value* table, int64_t index) {
  if (!tables_.insert({table, index}).second) return true;
  return AllUses(table, [&](const Use& use) {
    if (use.user->kind() == prim::Return) return TakeBranch(use, index);
    if (use.offset != 0) return false;
    if (KeepsNumbers(*use.user)) return TakeTable(use.user->output(), index);
    if (use.user->kind() != aten::select || !IsConstant(use.user->input(1), 1)) return false;
    const std::optional<int64_t> row = Integer(use.user->input(2));
    if (!row || *row < 0) return false;
    return *row != index || TakeRow(use.user->output());
  });
}

// The table as the result of a method, or of one branch of an if whose others give an argument.
bool AdaptiveNormUses::TakeBranch(const Use& result, int64_t index) {
  Block* block = result.user->owningBlock();
  const Node* owner = block->owningNode();
  if (owner == nullptr || block == result.user->owningGraph()->block()) return true;
  if (owner->kind() != prim::If) return false;
  for (const Block* branch : owner->blocks()) {
    const Value* origin = Origin(branch->outputs().at(result.offset));
    if (tables_.contains({origin, index}) || IsNone(origin)) continue;
    if (!IsArgument(origin) || !TakeTable(origin, index)) return false;
  }
  return TakeTable(owner->outputs().at(result.offset), index);
}

bool AdaptiveNormUses::TakeRow(const Value* row) {
  return AllUses(row, [&](const Use& use) { return TakeUse(use); });
}

bool AdaptiveNormUses::TakeUse(const Use& use) {
  if (use.offset != 0) return false;
  if (use.user->kind() == aten::unsqueeze && IsConstant(use.user->input(1), 1)) {
    return TakeRow(use.user->output());
  }
  // Along the last dimension, or it would not fit the norm's K features.
  return use.user->kind() == aten::chunk && IsConstant(use.user->input(1), kParts) &&
         TakeParts(use.user->output());
}

bool AdaptiveNormUses::TakeParts(const Value* list) {
  const auto take = [&](const Value* part, int64_t index) {
    if (index == kScalePart) scales_.insert(part);
    if (index == kShiftPart) shifts_.insert(part);
  };
  return AllUses(list, [&](const Use& use) {
    if (use.user->kind() == prim::ListUnpack) {
      for (size_t i = 0; i < use.user->outputs().size(); ++i) {
        take(use.user->output(i), static_cast<int64_t>(i));
      }
      return true;
    }
    if (use.user->kind() != aten::__getitem__) return false;
    const std::optional<int64_t> index = Integer(use.user->input(1));
    if (!index || *index < 0) return false;
    take(use.user->output(), *index);
    return true;
  });
}

// Scales only as normed · (1 + scale), shifts only added to that, the sums read by linears.
bool AdaptiveNormUses::TakeSums() {
  std::set<const Value*> products;
  for (const Value* scale : scales_) {
    const bool taken = AllUses(scale, [&](const Use& use) {
      const Value* factor = OnePlus(use);
      return factor != nullptr && AllUses(factor, [&](const Use& product) {
               if (product.user->kind() != aten::mul) return false;
               products.insert(product.user->output());
               return true;
             });
    });
    if (!taken) return false;
  }
  const auto is_sum = [&](const Use& use) {
    if (use.user->kind() != aten::add || !IsConstant(use.user->input(2), 1)) return false;
    const Value* left = use.user->input(0);
    const Value* right = use.user->input(1);
    return (products.contains(left) && shifts_.contains(right)) ||
           (shifts_.contains(left) && products.contains(right));
  };
  for (const Value* shift : shifts_) {
    if (!AllUses(shift, is_sum)) return false;
  }
  return std::all_of(products.begin(), products.end(), [&](const Value* product) {
    return AllUses(product, [&](const Use& use) {
      return is_sum(use) && readers_.TakeOutput(use.user->output());
    });
  });
}

void DivideModulation(Node& dense, std::span<const float> scales) {
  const auto width = static_cast<int64_t>(scales.size());
  at::Tensor factor = at::empty({kParts * width}, at::kFloat);
  at::Tensor offset = at::empty({kParts * width}, at::kFloat);
  auto* factors = factor.mutable_data_ptr<float>();
  auto* offsets = offset.mutable_data_ptr<float>();
  for (size_t i = 0; i < scales.size(); ++i) {
    const double inverse = 1.0 / static_cast<double>(scales[i]);
    const auto place = [&](int64_t part, double multiply, double add) {
      factors[static_cast<size_t>(part) * scales.size() + i] = static_cast<float>(multiply);
      offsets[static_cast<size_t>(part) * scales.size() + i] = static_cast<float>(add);
    };
    place(kScalePart, inverse, inverse - 1.0);
    place(kShiftPart, inverse, 0);
    place(kParts - 1, 1, 0);
  }
  torch::jit::Graph& graph = *dense.owningGraph();
  const torch::jit::WithInsertPoint guard(dense.next());
  const std::vector<Use> readers = dense.output()->uses();
  Value* divided = graph.insert(
      aten::addcmul, {graph.insertConstant(offset), dense.output(), graph.insertConstant(factor)});
  for (const Use& reader : readers) reader.user->replaceInput(reader.offset, divided);
}

}  // namespace vlaserve
