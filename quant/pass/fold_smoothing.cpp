#include "quant/pass/fold_smoothing.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <ATen/ops/empty.h>

#include "model/archive/torch_errors.h"
#include "quant/pass/adaptive_norm.h"
#include "quant/pass/find_linears.h"
#include "quant/pass/norm_uses.h"
#include "quant/pass/stored_values.h"

namespace vlaserve {
namespace {

using torch::jit::Use;
using torch::jit::Value;

using Names = std::set<std::string>;

// False if `weight` is read otherwise than as the factor 1 + w in front of linears to smooth.
bool TakeWeight(const Value* weight, SmoothedReaders& readers) {
  return AllUses(weight, [&](const Use& use) {
    if (use.offset == 0 && KeepsNumbers(*use.user)) return true;  // its output is another value
    const Value* factor = OnePlus(use);
    return factor != nullptr && AllUses(factor, [&](const Use& product) {
             return product.user->kind() == c10::aten::mul &&
                    readers.TakeOutput(product.user->output());
           });
  });
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
    if (!(std::abs(factor) >= kSmallestNormFactor)) return {};
    out[i] = static_cast<float>(factor - 1.0);
  }
  return folded;
}

// Norms with a weight of their own.
Names FoldWeights(const std::vector<StoredValues>& stored, const LinearNodes& linears,
                  const SmoothScales& smooth) {
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

  Names folded;
  for (const auto& [tensor, values] : vectors) {
    SmoothedReaders readers(linears, smooth);
    const bool free = std::all_of(values.begin(), values.end(),
                                  [&](const Value* value) { return TakeWeight(value, readers); });
    if (!free || readers.names().empty()) continue;
    const at::Tensor weight = FoldedWeight(tensor.tensor, readers.CommonScales());
    if (!weight.defined()) continue;
    tensor.object->setSlot(tensor.slot, weight);
    folded.insert(readers.names().begin(), readers.names().end());
  }
  return folded;
}

// Adaptive norms, behind dense linears. Changes the graphs.
Names FoldModulations(const std::vector<LinearSite>& sites, const LinearNodes& linears,
                      const SmoothScales& smooth) {
  Names folded;
  for (const LinearSite& dense : sites) {
    AdaptiveNormUses norm(linears, smooth);
    const bool free =
        std::all_of(dense.uses.begin(), dense.uses.end(), [&](const LinearSite::Use& use) {
          return ComputesInFloat32(*use.node) && norm.TakeDense(*use.node);
        });
    if (!free) continue;
    const std::span<const float> scales = norm.readers().CommonScales();
    const bool exact = std::all_of(scales.begin(), scales.end(), [](float scale) {
      return 1.0 / static_cast<double>(scale) >= kSmallestNormFactor;
    });
    const bool fits = dense.linear.weight.size(0) == 3 * static_cast<int64_t>(scales.size());
    if (scales.empty() || !fits || !exact) continue;
    for (const LinearSite::Use& use : dense.uses) DivideModulation(*use.node, scales);
    folded.insert(norm.readers().names().begin(), norm.readers().names().end());
  }
  return folded;
}

}  // namespace

Result<Names> FoldSmoothing(const torch::jit::Module& module, const SmoothScales& smooth) {
  return CatchTorchErrors("folding of smoothing", [&]() -> Result<Names> {
    const std::vector<InlinedMethod> methods = InlineMethods(module);
    std::vector<StoredValues> stored;
    stored.reserve(methods.size());
    for (const InlinedMethod& method : methods) stored.emplace_back(*method.graph, module);
    const std::vector<LinearSite> sites = FindLinearSites(methods, stored);
    LinearNodes linears;
    for (const LinearSite& site : sites) {
      for (const LinearSite::Use& use : site.uses) linears.emplace(use.node, site.linear.name);
    }
    Names folded = FoldWeights(stored, linears, smooth);
    const Names modulated = FoldModulations(sites, linears, smooth);
    if (!modulated.empty()) {
      for (const InlinedMethod& method : methods) ReplaceMethod(module, method);
    }
    folded.insert(modulated.begin(), modulated.end());
    return folded;
  });
}

}  // namespace vlaserve
