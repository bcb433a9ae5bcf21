#include "quant/pass/norm_uses.h"

#include <optional>

#include <torch/csrc/jit/ir/constants.h>

#include "quant/pass/stored_values.h"

namespace vlaserve {

using torch::jit::Use;
using torch::jit::Value;

bool IsConstant(const Value* value, int64_t expected) {
  const std::optional<c10::IValue> constant = torch::jit::toIValue(value);
  if (!constant) return false;
  return (constant->isInt() && constant->toInt() == expected) ||
         (constant->isDouble() && constant->toDouble() == static_cast<double>(expected));
}

const Value* OnePlus(const Use& use) {
  const bool adds_one = use.user->kind() == c10::aten::add && use.offset == 0 &&
                        IsConstant(use.user->input(1), 1) && IsConstant(use.user->input(2), 1);
  return adds_one ? use.user->output() : nullptr;
}

bool SmoothedReaders::TakeOutput(const Value* output) {
  return AllUses(output, [&](const Use& use) {
    if (use.offset != 0) return false;
    if (KeepsNumbers(*use.user)) return TakeOutput(use.user->output());
    const auto linear = linears_.find(use.user);
    if (linear == linears_.end() || !smooth_.contains(linear->second)) return false;
    names_.insert(linear->second);
    nodes_.insert(use.user);
    return true;
  });
}

std::span<const float> SmoothedReaders::CommonScales() const {
  if (names_.empty()) return {};
  const std::span<const float> first = smooth_.at(*names_.begin());
  const bool same = std::all_of(names_.begin(), names_.end(), [&](const std::string& name) {
    return std::ranges::equal(smooth_.at(name), first);
  });
  const bool all_nodes = std::all_of(linears_.begin(), linears_.end(), [&](const auto& linear) {
    return !names_.contains(linear.second) || nodes_.contains(linear.first);
  });
  return same && all_nodes ? first : std::span<const float>();
}

}  // namespace vlaserve
