#include "quant/pass/fuse.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include <torch/csrc/jit/ir/alias_analysis.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>

#include "model/archive/torch_errors.h"
#include "quant/engine/int_layer.h"
#include "quant/engine/torch_ops.h"
#include "quant/pass/find_linears.h"
#include "quant/pass/inlined_method.h"
#include "quant/pass/norm_pattern.h"
#include "quant/pass/norm_uses.h"

namespace vlaserve {
namespace {

using torch::jit::AliasDb;
using torch::jit::Block;
using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Use;
using torch::jit::Value;
using torch::jit::WithInsertPoint;
namespace aten = c10::aten;

using Pack = c10::intrusive_ptr<QuantizedLinear>;

c10::Symbol Operator(const char* name) {
  return c10::Symbol::fromQualString(std::string("vlaserve::") + name);
}

// One vlaserve::linear.
struct Call {
  Node* node = nullptr;
  std::string attribute;  // of the root, holds the pack
  Pack pack;

  Value* x() const { return node->input(0); }
  const IntLayer& layer() const { return *pack->int_layer(); }
};

// Calls of one input that share its codes.
struct Site {
  Value* x = nullptr;
  std::vector<Call> calls;
  Node* codes = nullptr;  // computes the QuantizedActivations, once there is one
};

class MethodFuser {
 public:
  MethodFuser(torch::jit::Module& module, Graph& graph, const std::set<Fusion>& wanted,
              std::vector<FusionCount>& counts, int64_t& groups)
      : module_(module),
        graph_(graph),
        wanted_(wanted),
        counts_(counts),
        groups_(groups),
        aliases_(graph.shared_from_this(), /*isFrozen=*/false) {}

  void Run() {
    std::vector<Call> calls;
    FindCalls(*graph_.block(), calls);
    MakeSites(calls);
    for (Site& site : sites_) PlaceCodes(site);
    if (Wants(Fusion::kNorm)) {
      for (Site& site : sites_) FuseNorm(site);
    }
    if (Wants(Fusion::kGatedMlp)) {
      for (Site& site : sites_) FuseGated(site);
    }
    if (Wants(Fusion::kResidual)) {
      for (Site& site : sites_) {
        for (Call& call : site.calls) FuseResidual(call);
      }
    }
    if (Wants(Fusion::kSharedInput)) {
      for (Site& site : sites_) JoinLinears(site);
    }
    torch::jit::EliminateDeadCode(graph_.shared_from_this());
  }

 private:
  bool Wants(Fusion fusion) const { return wanted_.contains(fusion); }
  FusionCount& Count(Fusion fusion) { return counts_[static_cast<size_t>(fusion)]; }

  void AddLayers(Fusion fusion, const std::vector<Call>& calls) {
    for (const Call& call : calls) Count(fusion).layers.insert(call.pack->name());
  }

  void FindCalls(Block& block, std::vector<Call>& calls) {
    static const c10::Symbol kLinear = Operator("linear");
    for (Node* node : block.nodes()) {
      for (Block* inner : node->blocks()) FindCalls(*inner, calls);
      if (node->kind() != kLinear) continue;
      const Node* attribute = node->input(1)->node();
      if (attribute->kind() != c10::prim::GetAttr || attribute->input(0) != graph_.inputs().at(0)) {
        continue;
      }
      const std::string& name = attribute->s(c10::attr::name);
      Pack pack = module_.attr(name).toCustomClass<QuantizedLinear>();
      if (pack->int_layer() != nullptr) calls.push_back({node, name, std::move(pack)});
    }
  }

  void MakeSites(const std::vector<Call>& calls) {
    const bool share = Wants(Fusion::kSharedInput);
    FusionCount& count = Count(Fusion::kSharedInput);
    std::map<const Value*, int64_t> readers;
    for (const Call& call : calls) {
      if (share && ++readers[call.x()] == 2) ++count.possible;
      auto site = sites_.end();
      if (share && !aliases_.hasWriters(call.x())) {
        site = std::find_if(sites_.begin(), sites_.end(), [&](const Site& other) {
          return other.x == call.x() && other.calls.front().layer().SharesInput(call.layer());
        });
      }
      if (site == sites_.end()) site = sites_.insert(site, Site{call.x(), {}, nullptr});
      site->calls.push_back(call);
    }
    std::set<const Value*> shared;
    for (const Site& site : sites_) {
      if (site.calls.size() < 2) continue;
      if (shared.insert(site.x).second) ++count.fused;
      AddLayers(Fusion::kSharedInput, site.calls);
    }
  }

  Value* PackValue(const Call& call) {
    return graph_.insertGetAttr(graph_.inputs().at(0), call.attribute);
  }

  // The node behind the definition of `value`.
  static Node* After(Value* value) {
    Node* definition = value->node();
    return definition->kind() == c10::prim::Param ? *definition->owningBlock()->nodes().begin()
                                                  : definition->next();
  }

  Node* InsertQuantize(Node* before, const Call& call) {
    const WithInsertPoint guard(before);
    return graph_.insert(Operator("quantize"), {call.x(), PackValue(call)})->node();
  }

  // vlaserve::linear as quantize + quantized_linear: right behind the input's definition where
  // several share it, else where the linear is.
  void PlaceCodes(Site& site) {
    const Call& first = site.calls.front();
    site.codes = InsertQuantize(site.calls.size() == 1 ? first.node : After(site.x), first);
    for (Call& call : site.calls) {
      const WithInsertPoint guard(call.node);
      Value* y =
          graph_.insert(Operator("quantized_linear"), {site.codes->output(), PackValue(call)});
      Replace(call.node, y);
      call.node = y->node();
    }
  }

  static void Replace(Node* old, Value* value) {
    value->node()->copyMetadata(old);
    old->output()->replaceAllUsesWith(value);
    old->destroy();
  }

  void ReplaceCodes(Site& site, Value* codes) {
    Replace(site.codes, codes);
    site.codes = codes->node();
  }

  // Whether something from `begin` up to `end` writes to what `value` stands for; true as well if
  // the two are not in one block.
  bool WrittenBetween(Value* value, Node* begin, const Node* end) const {
    if (begin->owningBlock() != end->owningBlock()) return true;
    static const c10::Symbol kOurs = Operator("linear").ns();
    for (Node* node = begin; node != end; node = node->next()) {
      if (node->kind().ns() != kOurs && aliases_.writesToAlias(node, {value})) return true;
    }
    return false;
  }

  void FuseNorm(Site& site) {
    const std::optional<NormPattern> norm = FindNorm(site.x);
    if (!norm) return;
    FusionCount& count = Count(Fusion::kNorm);
    if (norms_.insert(site.x).second) ++count.possible;
    // Whoever else looks at the normed numbers needs them anyway.
    if (!AllUses(site.x, [&](const Use& use) { return use.user == site.codes; })) return;
    for (Value* read : {norm->x, norm->factor, norm->shift}) {
      if (read != nullptr && WrittenBetween(read, norm->first, site.codes)) return;
    }
    const WithInsertPoint guard(site.codes);
    Value* shift = norm->shift != nullptr ? norm->shift : graph_.insertConstant(c10::IValue());
    const bool rms = norm->kind == NormPattern::Kind::kRms;
    ReplaceCodes(site, graph_.insert(Operator(rms ? "rms_norm_quantize" : "layer_norm_quantize"),
                                     {norm->x, norm->factor, shift, norm->eps,
                                      PackValue(site.calls.front())}));
    // Uses that are left ask for shape, dtype or device, which the norm's input has as well.
    site.x->replaceAllUsesWith(norm->x);
    ++count.fused;
    AddLayers(Fusion::kNorm, site.calls);
  }

  // down's input h = gelu(gate(x)) · up(x), each read by nobody else.
  void FuseGated(Site& site) {
    Node* product = site.x->node();
    if (product->kind() != aten::mul || product->inputs().size() != 2) return;
    for (const size_t i : {0U, 1U}) {
      Node* gelu = product->input(i)->node();
      if (gelu->kind() != aten::gelu || !IsTanh(gelu->input(1))) continue;
      Call* gate = CallOf(gelu->input(0));
      Call* up = CallOf(product->input(1 - i));
      if (gate == nullptr || up == nullptr) continue;
      FusionCount& count = Count(Fusion::kGatedMlp);
      ++count.possible;
      const Call down = site.calls.front();
      const bool alone =
          IsOnlyReader(gelu->input(0), gelu) && IsOnlyReader(gelu->output(), product) &&
          IsOnlyReader(up->node->output(), product) && IsOnlyReader(site.x, site.codes);
      const bool fits = gate->x() == up->x() && site.calls.size() == 1 &&
                        !gate->layer().RestoresOutput() && !up->layer().RestoresOutput() &&
                        down.layer().TransformsStayInTiles() &&
                        gate->layer().out_features() == down.layer().in_features() &&
                        up->layer().out_features() == down.layer().in_features();
      if (!alone || !fits) return;
      const WithInsertPoint guard(site.codes);
      ReplaceCodes(site,
                   graph_.insert(Operator("gated_mlp_quantize"),
                                 {gate->x(), PackValue(*gate), PackValue(*up), PackValue(down)}));
      ++count.fused;
      AddLayers(Fusion::kGatedMlp, {*gate, *up, down});
      product->destroy();
      gelu->destroy();
      for (Call* call : {gate, up}) {
        call->node->destroy();
        call->node = nullptr;
      }
      return;
    }
  }

  static bool IsTanh(const Value* approximate) {
    const std::optional<c10::IValue> constant = torch::jit::toIValue(approximate);
    return constant && constant->isString() && constant->toStringRef() == "tanh";
  }

  // Within one block, so that it is read as often as it is computed.
  static bool IsOnlyReader(const Value* value, const Node* reader) {
    return value->uses().size() == 1 && value->uses().front().user == reader &&
           value->node()->owningBlock() == reader->owningBlock();
  }

  // The linear that computes `value`; null: none of ours.
  Call* CallOf(const Value* value) {
    for (Site& site : sites_) {
      for (Call& call : site.calls) {
        if (call.node != nullptr && call.node->output() == value) return &call;
      }
    }
    return nullptr;
  }

  // residual + y and residual + y · gate, where nobody else reads y.
  void FuseResidual(Call& call) {
    if (call.node == nullptr || call.node->output()->uses().size() != 1) return;
    Use use = call.node->output()->uses().front();
    Value* gate = nullptr;
    Node* product = use.user;
    if (product->kind() == aten::mul && IsOnlyReader(call.node->output(), product) &&
        product->output()->uses().size() == 1) {
      gate = product->input(1 - use.offset);
      use = product->output()->uses().front();
    }
    Node* sum = use.user;
    const Value* y = gate == nullptr ? call.node->output() : product->output();
    if (sum->kind() != aten::add || use.offset > 1 || !IsOnlyReader(y, sum) ||
        !IsConstant(sum->input(2), 1)) {
      return;
    }
    Value* residual = sum->input(1 - use.offset);
    if (!IsTensor(residual) || (gate != nullptr && !IsTensor(gate))) return;
    FusionCount& count = Count(Fusion::kResidual);
    ++count.possible;
    if (gate != nullptr && WrittenBetween(gate, product, sum)) return;
    const WithInsertPoint guard(sum);
    Value* gate_or_none = gate != nullptr ? gate : graph_.insertConstant(c10::IValue());
    Value* result = graph_.insert(Operator("quantized_linear_add"),
                                  {call.x(), PackValue(call), residual, gate_or_none});
    Replace(sum, result);
    if (gate != nullptr) product->destroy();
    call.node->destroy();
    call.node = nullptr;
    ++count.fused;
    AddLayers(Fusion::kResidual, {call});
  }

  static bool IsTensor(const Value* value) {
    return value->type()->isSubtypeOf(*c10::TensorType::get());
  }

  // Linears of one input in the block of the codes become one call, right behind the codes.
  void JoinLinears(const Site& site) {
    std::vector<const Call*> joined;
    std::vector<Pack> packs;
    for (const Call& call : site.calls) {
      if (call.node == nullptr || call.node->owningBlock() != site.codes->owningBlock()) continue;
      joined.push_back(&call);
      packs.push_back(call.pack);
    }
    if (joined.size() < 2) return;
    const std::string attribute = "quantized_linears_" + std::to_string(groups_++);
    const c10::IValue group = MakeQuantizedLinears(std::move(packs));
    module_.register_attribute(attribute, group.type(), group);
    const WithInsertPoint guard(site.codes->next());
    Value* group_value = graph_.insertGetAttr(graph_.inputs().at(0), attribute);
    Value* list = graph_.insert(Operator("quantized_linears"), {site.codes->output(), group_value});
    Node* unpack = graph_.insertNode(graph_.createListUnpack(list, joined.size()));
    for (size_t i = 0; i < joined.size(); ++i) {
      joined[i]->node->output()->replaceAllUsesWith(unpack->output(i));
      joined[i]->node->destroy();
    }
  }

  torch::jit::Module& module_;
  Graph& graph_;
  const std::set<Fusion>& wanted_;
  std::vector<FusionCount>& counts_;
  int64_t& groups_;  // attributes made for JoinLinears, over all methods
  AliasDb aliases_;  // of the graph as it came: asked about nodes and values that were there then
  std::vector<Site> sites_;
  std::set<const Value*> norms_;  // outputs of norms that were counted
};

}  // namespace

Result<std::vector<FusionCount>> FuseLinears(torch::jit::Module& module,
                                             const std::set<Fusion>& wanted) {
  return CatchTorchErrors("fusion", [&]() -> Result<std::vector<FusionCount>> {
    std::vector<FusionCount> counts;
    counts.reserve(kAllFusions.size());
    for (const Fusion fusion : kAllFusions) counts.push_back({fusion, 0, 0, {}});
    if (wanted.empty()) return counts;
    int64_t groups = 0;
    for (const InlinedMethod& method : InlineMethods(module)) {
      MethodFuser(module, *method.graph, wanted, counts, groups).Run();
      ReplaceMethod(module, method);
    }
    return counts;
  });
}

}  // namespace vlaserve
