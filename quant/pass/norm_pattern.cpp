#include "quant/pass/norm_pattern.h"

#include <ATen/core/ivalue.h>
#include <torch/csrc/jit/ir/constants.h>

#include "quant/pass/norm_uses.h"

namespace vlaserve {
namespace {

using torch::jit::Node;
using torch::jit::Value;
namespace aten = c10::aten;

// The other operand of a product with `factor` in it; null if the value is no such product.
Value* OtherFactor(Value* product, const Value* factor) {
  Node* node = product->node();
  if (node->kind() != aten::mul) return nullptr;
  if (node->input(0) == factor) return node->input(1);
  return node->input(1) == factor ? node->input(0) : nullptr;
}

bool IsFloat32(const Value* dtype) { return IsConstant(dtype, static_cast<int64_t>(at::kFloat)); }

// The tensor that `value` is in float32; null if it is no cast to it.
Value* WidenedFrom(Value* value) {
  Node* node = value->node();
  return node->kind() == aten::to && node->inputs().size() == 5 && IsFloat32(node->input(1))
             ? node->input(0)
             : nullptr;
}

bool IsLastDimension(const Value* dims) {
  const std::optional<c10::IValue> constant = torch::jit::toIValue(dims);
  if (constant) return constant->isIntList() && constant->toIntVector() == std::vector<int64_t>{-1};
  const Node* node = dims->node();
  return node->kind() == c10::prim::ListConstruct && node->inputs().size() == 1 &&
         IsConstant(node->input(0), -1);
}

bool IsTrue(const Value* value) {
  const std::optional<c10::IValue> constant = torch::jit::toIValue(value);
  return constant && constant->isBool() && constant->toBool();
}

// eps of r = rsqrt(mean(wide · wide, [-1], True) + eps); null if `r` is something else.
Value* EpsOf(Value* r, const Value* wide) {
  Node* rsqrt = r->node();
  if (rsqrt->kind() != aten::rsqrt) return nullptr;
  Node* sum = rsqrt->input(0)->node();
  if (sum->kind() != aten::add || !IsConstant(sum->input(2), 1) ||
      sum->input(1)->type()->kind() != c10::TypeKind::FloatType) {
    return nullptr;
  }
  const Node* mean = sum->input(0)->node();
  if (mean->kind() != aten::mean || mean->inputs().size() != 4 ||
      !IsLastDimension(mean->input(1)) || !IsTrue(mean->input(2))) {
    return nullptr;
  }
  const Node* square = mean->input(0)->node();
  const bool is_square =
      square->kind() == aten::mul && square->input(0) == wide && square->input(1) == wide;
  return is_square ? sum->input(1) : nullptr;
}

// wide · r with r as above; null x otherwise.
NormPattern NormedOf(Value* value) {
  Node* product = value->node();
  NormPattern norm;
  if (product->kind() != aten::mul) return norm;
  for (const size_t i : {0U, 1U}) {
    Value* wide = product->input(i);
    Value* x = WidenedFrom(wide);
    if (x == nullptr) continue;
    norm.eps = EpsOf(product->input(1 - i), wide);
    if (norm.eps == nullptr) continue;
    norm.x = x;
    norm.first = wide->node();
    return norm;
  }
  return norm;
}

std::optional<NormPattern> FindRms(Node* cast) {
  if (cast->inputs().size() != 5) return std::nullopt;
  Value* result = cast->input(0);
  Value* shift = nullptr;
  Value* product = result;
  if (result->node()->kind() == aten::add && IsConstant(result->node()->input(2), 1)) {
    product = result->node()->input(0);
    shift = result->node()->input(1);
  }
  if (product->node()->kind() != aten::mul) return std::nullopt;
  for (const size_t i : {0U, 1U}) {
    Value* normed = product->node()->input(i);
    NormPattern norm = NormedOf(normed);
    if (norm.x == nullptr) continue;
    norm.factor = OtherFactor(product, normed);
    norm.shift = shift;
    // The codes carry x's dtype, which the linears then give their outputs.
    const Node* dtype = cast->input(1)->node();
    const bool same_dtype = dtype->kind() == c10::prim::dtype && dtype->input(0) == norm.x;
    if (!same_dtype) return std::nullopt;
    return norm;
  }
  return std::nullopt;
}

std::optional<NormPattern> FindLayerNorm(Node* node) {
  const Node* shape = node->input(1)->node();
  const std::optional<c10::IValue> constant = torch::jit::toIValue(node->input(1));
  const bool last_only =
      constant ? constant->isIntList() && constant->toIntVector().size() == 1
               : shape->kind() == c10::prim::ListConstruct && shape->inputs().size() == 1;
  if (!last_only) return std::nullopt;
  NormPattern norm;
  norm.kind = NormPattern::Kind::kLayer;
  norm.x = node->input(0);
  norm.factor = node->input(2);
  norm.shift = node->input(3);
  norm.eps = node->input(4);
  norm.first = node;
  return norm;
}

}  // namespace

std::optional<NormPattern> FindNorm(Value* output) {
  Node* node = output->node();
  if (node->kind() == aten::to) return FindRms(node);
  if (node->kind() == aten::layer_norm) return FindLayerNorm(node);
  return std::nullopt;
}

}  // namespace vlaserve
