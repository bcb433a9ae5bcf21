#include "quant/pass/fold_smoothing.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include <ATen/ops/empty.h>
#include <torch/csrc/jit/ir/constants.h>

#include "model/archive/torch_errors.h"
#include "quant/pass/find_linears.h"
#include "quant/pass/stored_values.h"

namespace vlaserve {
namespace {

using torch::jit::Node;
using torch::jit::Use;
using torch::jit::Value;

constexpr double kSmallestFactor = 1.0 / 256;

using Scales = std::map<std::string, std::span<const float>>;

bool IsOne(const Value* value) {
  const std::optional<c10::IValue> constant = torch::jit::toIValue(value);
  if (!constant) return false;
  return (constant->isDouble() && constant->toDouble() == 1) ||
         (constant->isInt() && constant->toInt() == 1);
}

// A norm's weight and the linears behind the norm, as far as all of it can be folded.
class NormUses {
 public:
  NormUses(const std::map<const Node*, std::string>& linears, const Scales& smooth)
      : linears_(linears), smooth_(smooth) {}

  // False if `weight` is read otherwise than as the factor 1 + w in front of linears to smooth.
  bool TakeWeight(const Value* weight) {
    return AllUses(weight, [&](const Use& use) {
      if (use.offset == 0 && KeepsNumbers(*use.user)) return true;  // its output is another value
      if (use.user->kind() != c10::aten::add || use.offset != 0) return false;
      if (!IsOne(use.user->input(1)) || !IsOne(use.user->input(2))) return false;
      return AllUses(use.user->output(), [&](const Use& factor) {
        return factor.user->kind() == c10::aten::mul && TakeOutput(factor.user->output());
      });
    });
  }

  const std::set<std::string>& names() const { return names_; }

 private:
  template <typename F>
  static bool AllUses(const Value* value, F&& allowed) {
    return std::all_of(value->uses().begin(), value->uses().end(),
                       [&](const Use& use) { return ReadsMetadataOnly(use) || allowed(use); });
  }

  bool TakeOutput(const Value* output) {
    return AllUses(output, [&](const Use& use) {
      if (use.offset != 0) return false;
      if (KeepsNumbers(*use.user)) return TakeOutput(use.user->output());
      const auto linear = linears_.find(use.user);
      if (linear == linears_.end()) return false;
      const auto scales = smooth_.find(linear->second);
      if (scales == smooth_.end()) return false;
      names_.insert(linear->second);
      return true;
    });
  }

  const std::map<const Node*, std::string>& linears_;
  const Scales& smooth_;
  std::set<std::string> names_;
};

// The common scales of the linears; empty if they differ.
std::span<const float> CommonScales(const std::set<std::string>& names, const Scales& smooth) {
  const std::span<const float> first = smooth.at(*names.begin());
  const bool same = std::all_of(names.begin(), names.end(), [&](const std::string& name) {
    return std::ranges::equal(smooth.at(name), first);
  });
  return same ? first : std::span<const float>();
}

// w' = (1 + w) / s - 1; undefined if float32 cannot hold it well enough.
at::Tensor FoldedWeight(const at::Tensor& weight, std::span<const float> scales) {
  if (weight.dim() != 1 || weight.numel() != static_cast<int64_t>(scales.size())) return {};
  const at::Tensor stored = weight.to(at::kFloat).contiguous();
  const float* w = stored.const_data_ptr<float>();
  at::Tensor folded = at::empty({weight.numel()}, at::kFloat);
  float* out = folded.mutable_data_ptr<float>();
  for (size_t i = 0; i < scales.size(); ++i) {
    const double factor = (1.0 + static_cast<double>(w[i])) / static_cast<double>(scales[i]);
    if (!(std::abs(factor) >= kSmallestFactor)) return {};
    out[i] = static_cast<float>(factor - 1.0);
  }
  return folded;
}

}  // namespace

Result<std::set<std::string>> FoldSmoothing(const torch::jit::Module& module,
                                            const Scales& smooth) {
  return CatchTorchErrors("folding of smoothing", [&]() -> Result<std::set<std::string>> {
    const std::vector<InlinedMethod> methods = InlineMethods(module);
    std::vector<StoredValues> stored;
    for (const InlinedMethod& method : methods) stored.emplace_back(*method.graph, module);
    std::map<const Node*, std::string> linears;
    for (const LinearSite& site : FindLinearSites(methods, stored)) {
      for (const LinearSite::Use& use : site.uses) linears.emplace(use.node, site.linear.name);
    }

    // Every vector that a method reads, with all values that stand for it, over all methods.
    std::vector<std::pair<StoredTensor, std::vector<const Value*>>> vectors;
    for (const StoredValues& values : stored) {
      for (const Value* value : values.values()) {
        const StoredTensor& tensor = *values.Find(value);
        if (tensor.object == nullptr || tensor.tensor.dim() != 1) continue;
        auto known = std::find_if(vectors.begin(), vectors.end(),
                                  [&](const auto& entry) { return entry.first.SameAs(tensor); });
        if (known == vectors.end()) known = vectors.insert(known, {tensor, {}});
        known->second.push_back(value);
      }
    }

    std::set<std::string> folded;
    for (const auto& [tensor, values] : vectors) {
      NormUses uses(linears, smooth);
      const bool free = std::all_of(values.begin(), values.end(),
                                    [&](const Value* value) { return uses.TakeWeight(value); });
      if (!free || uses.names().empty()) continue;
      const at::Tensor weight = FoldedWeight(tensor.tensor, CommonScales(uses.names(), smooth));
      if (!weight.defined()) continue;
      tensor.object->setSlot(tensor.slot, weight);
      folded.insert(uses.names().begin(), uses.names().end());
    }
    return folded;
  });
}

}  // namespace vlaserve
