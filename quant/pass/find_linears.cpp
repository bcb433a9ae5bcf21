#include "quant/pass/find_linears.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "model/archive/torch_errors.h"

namespace vlaserve {
namespace {

using torch::jit::Node;
using torch::jit::Use;
using torch::jit::Value;

constexpr size_t kWeightInput = 1;
constexpr size_t kBiasInput = 2;

// Operators that look at the dtype, shape or device of a tensor and never at its numbers: of every
// argument, or of the one given.
struct MetadataReader {
  std::string_view kind;
  size_t argument;
};
constexpr size_t kAny = 9;
constexpr auto kMetadataReaders = std::to_array<MetadataReader>({
    {"aten::__is__", kAny},     {"aten::__isnot__", kAny},
    {"aten::dim", kAny},        {"aten::element_size", kAny},
    {"aten::empty_like", 0},    {"aten::is_complex", kAny},
    {"aten::is_contiguous", 0}, {"aten::is_floating_point", kAny},
    {"aten::len", 0},           {"aten::new_empty", 0},
    {"aten::new_full", 0},      {"aten::new_ones", 0},
    {"aten::new_zeros", 0},     {"aten::numel", kAny},
    {"aten::ones_like", 0},     {"aten::size", 0},
    {"aten::stride", 0},        {"aten::to", 1},
    {"aten::type_as", 1},       {"aten::zeros_like", 0},
    {"prim::device", kAny},     {"prim::dtype", kAny},
    {"prim::is_cpu", kAny},     {"prim::is_cuda", kAny},
    {"prim::layout", kAny},     {"prim::requires_grad", kAny},
});

bool IsLinearWeight(const at::Tensor& tensor) {
  return tensor.dim() == 2 && at::isFloatingType(tensor.scalar_type());
}

std::string NameOf(const StoredTensor& weight, size_t constant) {
  if (weight.object == nullptr) return "constant." + std::to_string(constant);
  constexpr std::string_view kSuffix = ".weight";
  std::string name = weight.path;
  if (name.ends_with(kSuffix)) name.resize(name.size() - kSuffix.size());
  return name;
}

LinearSite* FindSite(std::vector<LinearSite>& sites, const StoredTensor& tensor) {
  const auto found = std::find_if(sites.begin(), sites.end(), [&](const LinearSite& site) {
    return site.weight.SameAs(tensor);
  });
  return found == sites.end() ? nullptr : &*found;
}

// The bias of an aten::linear node; undefined: none. False if it is no stored tensor.
bool BiasOf(const Node& node, const StoredValues& stored, at::Tensor& bias) {
  const Value* value = node.input(kBiasInput);
  if (stored.IsNone(value)) return true;
  const StoredTensor* tensor = stored.Find(value);
  if (tensor == nullptr) return false;
  bias = tensor->tensor;
  return true;
}

void AddNode(const InlinedMethod& method, size_t index, Node* node, const StoredValues& stored,
             std::vector<LinearSite>& sites, size_t& constants) {
  const StoredTensor* weight = stored.Find(node->input(kWeightInput));
  if (weight == nullptr || !IsLinearWeight(weight->tensor)) return;
  at::Tensor bias;
  const bool known_bias = BiasOf(*node, stored, bias);
  LinearSite* site = FindSite(sites, *weight);
  if (site == nullptr) {
    const std::string name = NameOf(*weight, constants);
    if (weight->object == nullptr) ++constants;
    sites.push_back({{name, weight->tensor, bias, 0, {}}, *weight, {}});
    site = &sites.back();
  } else if (known_bias && !bias.is_same(site->linear.bias)) {
    site->linear.other_uses.push_back("aten::linear with another bias in " + method.name);
  }
  if (!known_bias) {
    site->linear.other_uses.push_back("aten::linear with a computed bias in " + method.name);
  }
  ++site->linear.uses;
  site->uses.push_back({index, node});
}

}  // namespace

bool ReadsMetadataOnly(const Use& use) {
  const std::string_view kind = use.user->kind().toQualString();
  return std::any_of(
      kMetadataReaders.begin(), kMetadataReaders.end(), [&](const MetadataReader& reader) {
        return reader.kind == kind && (reader.argument == kAny || reader.argument == use.offset);
      });
}

std::vector<LinearSite> FindLinearSites(const std::vector<InlinedMethod>& methods,
                                        const std::vector<StoredValues>& stored) {
  std::vector<LinearSite> sites;
  size_t constants = 0;
  for (size_t i = 0; i < methods.size(); ++i) {
    for (Node* node : stored[i].linears()) {
      AddNode(methods[i], i, node, stored[i], sites, constants);
    }
  }
  for (size_t i = 0; i < methods.size(); ++i) {
    for (const Value* value : stored[i].values()) {
      LinearSite* site = FindSite(sites, *stored[i].Find(value));
      if (site == nullptr) continue;
      for (const Use& use : value->uses()) {
        const bool as_weight = use.user->kind() == c10::aten::linear && use.offset == kWeightInput;
        const bool handed_on = use.offset == 0 && KeepsNumbers(*use.user);
        if (as_weight || handed_on || ReadsMetadataOnly(use)) continue;
        site->linear.other_uses.push_back(std::string(use.user->kind().toQualString()) + " in " +
                                          methods[i].name);
      }
    }
  }
  return sites;
}

Result<std::vector<GraphLinear>> FindLinears(const torch::jit::Module& module) {
  return CatchTorchErrors("linears of the graphs", [&]() -> Result<std::vector<GraphLinear>> {
    const std::vector<InlinedMethod> methods = InlineMethods(module);
    std::vector<StoredValues> stored;
    for (const InlinedMethod& method : methods) stored.emplace_back(*method.graph, module);
    std::vector<GraphLinear> linears;
    for (LinearSite& site : FindLinearSites(methods, stored)) {
      linears.push_back(std::move(site.linear));
    }
    return linears;
  });
}

}  // namespace vlaserve
