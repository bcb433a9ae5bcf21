#include "quant/pass/lower.h"

#include <limits>
#include <utility>

#include <ATen/ops/full.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>

#include "model/archive/torch_errors.h"
#include "quant/engine/torch_ops.h"
#include "quant/pass/find_linears.h"
#include "quant/pass/inlined_method.h"
#include "quant/pass/stored_values.h"

namespace vlaserve {
namespace {

using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;
using torch::jit::WithInsertPoint;

using Engines = std::map<std::string, std::unique_ptr<LinearEngine>>;

std::string Join(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

// One NaN in the shape of the weight: whatever computes with it makes itself known.
at::Tensor Placeholder(const at::Tensor& weight, at::ScalarType dtype) {
  return at::full({}, std::numeric_limits<double>::quiet_NaN(), dtype).expand(weight.sizes());
}

Status CheckSites(const std::vector<LinearSite>& sites, const Engines& engines) {
  std::map<std::string, const LinearSite*> by_name;
  for (const LinearSite& site : sites) by_name.emplace(site.linear.name, &site);
  for (const auto& [name, engine] : engines) {
    const auto found = by_name.find(name);
    if (found == by_name.end()) {
      return {StatusCode::kInvalidArgument, name + ": no method of the module computes with it"};
    }
    const GraphLinear& linear = found->second->linear;
    if (!linear.other_uses.empty()) {
      return {StatusCode::kInvalidArgument,
              name + ": cannot be replaced, its weight is also read by " + Join(linear.other_uses)};
    }
  }
  return Status::Ok();
}

// Puts a call of the engine in the place of an aten::linear node.
void ReplaceNode(Graph& graph, Node* node, const std::string& attribute) {
  static const c10::Symbol kLinear = c10::Symbol::fromQualString("vlaserve::linear");
  const WithInsertPoint guard(node);
  Value* pack = graph.insertGetAttr(graph.inputs().at(0), attribute);
  Value* result = graph.insert(kLinear, {node->input(0), pack});
  result->node()->copyMetadata(node);
  node->output()->replaceAllUsesWith(result);
  node->destroy();
}

// A frozen weight that is still asked for its dtype or size.
void ReplaceConstants(Graph& graph, const StoredValues& stored, const StoredTensor& weight,
                      const at::Tensor& placeholder) {
  for (Value* value : stored.values()) {
    if (value->node()->kind() != c10::prim::Constant || !stored.Find(value)->SameAs(weight)) {
      continue;
    }
    const WithInsertPoint guard(value->node());
    value->replaceAllUsesWith(graph.insertConstant(placeholder));
  }
}

}  // namespace

Result<LowerReport> LowerLinears(torch::jit::Module& module, Engines engines,
                                 const PlaceholderDtype& placeholder_dtype) {
  return CatchTorchErrors("lowering", [&]() -> Result<LowerReport> {
    const std::vector<InlinedMethod> methods = InlineMethods(module);
    std::vector<StoredValues> stored;
    stored.reserve(methods.size());
    for (const InlinedMethod& method : methods) stored.emplace_back(*method.graph, module);
    const std::vector<LinearSite> sites = FindLinearSites(methods, stored);
    VLASERVE_RETURN_IF_ERROR(CheckSites(sites, engines));

    LowerReport report;
    for (const LinearSite& site : sites) {
      const auto engine = engines.find(site.linear.name);
      if (engine == engines.end()) continue;
      const at::ScalarType dtype = site.weight.tensor.scalar_type();
      const bool constant = site.weight.object == nullptr;
      const at::Tensor placeholder = Placeholder(
          site.weight.tensor, constant ? dtype : placeholder_dtype(site.weight.path, dtype));

      const std::string attribute = "quantized_linear_" + std::to_string(report.replaced_layers);
      const c10::IValue pack = MakeQuantizedLinear(engine->first, std::move(engine->second));
      module.register_attribute(attribute, pack.type(), pack);
      for (const LinearSite::Use& use : site.uses) {
        ReplaceNode(*methods[use.method].graph, use.node, attribute);
        ++report.replaced_nodes;
      }
      if (constant) {
        for (size_t i = 0; i < methods.size(); ++i) {
          ReplaceConstants(*methods[i].graph, stored[i], site.weight, placeholder);
        }
      } else {
        site.weight.object->setSlot(site.weight.slot, placeholder);
      }
      ++report.replaced_layers;
    }
    for (const InlinedMethod& method : methods) {
      torch::jit::EliminateDeadCode(method.graph);
      ReplaceMethod(module, method);
    }
    return report;
  });
}

}  // namespace vlaserve
