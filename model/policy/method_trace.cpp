#include "model/policy/method_trace.h"

#include <memory>

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/passes/constant_propagation.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

namespace vlaserve {
namespace {

using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;
namespace prim = c10::prim;

// The path of a module value below the graph's self, "" if it is not one.
std::string PathBelowSelf(const Value* value, const Value* self) {
  std::string path;
  while (value != self) {
    const Node* node = value->node();
    if (node->kind() != prim::GetAttr) return "";
    path = node->s(c10::attr::name) + (path.empty() ? "" : "." + path);
    value = node->input();
  }
  return path;
}

// The tensor to record of what a submodule returned: the value itself or a tuple's first element.
// Null if it is something else.
Value* TensorOf(Graph& graph, const std::vector<Value*>& outputs) {
  if (outputs.size() != 1) return nullptr;
  Value* value = outputs[0];
  if (const auto tuple = value->type()->cast<c10::TupleType>()) {
    if (tuple->elements().empty()) return nullptr;
    Node* index = graph.insertNode(
        graph.createTupleIndex(value, graph.insertConstant(0), tuple->elements()[0]));
    value = index->output();
  }
  return value->type()->kind() == c10::TypeKind::TensorType ? value : nullptr;
}

// Inlines all submodule calls of the graph's top level and adds a copy of the tensor that each
// returned to the graph's outputs; appends their paths to `paths`. Returns false if there was none.
bool ExposeSubmoduleOutputs(Graph& graph, std::vector<std::string>& paths) {
  bool found = false;
  const Value* self = graph.inputs().at(0);
  for (Node* node = *graph.nodes().begin(); node->kind() != prim::Return;) {
    Node* next = node->next();
    if (node->kind() != prim::CallMethod) {
      node = next;
      continue;
    }
    found = true;
    const std::string method = node->s(c10::attr::name);
    const std::string path = PathBelowSelf(node->input(0), self);
    auto& function = torch::jit::toGraphFunction(
        node->input(0)->type()->expectRef<c10::ClassType>().getMethod(method));
    Node* before = node->prev();
    const std::vector<Value*> outputs =
        torch::jit::inlineCallTo(node, &function, function.graph().get());
    const torch::jit::WithInsertPoint guard(next);
    Value* tensor = path.empty() ? nullptr : TensorOf(graph, outputs);
    if (tensor != nullptr) {
      graph.registerOutput(graph.insert(c10::aten::clone, {tensor}));
      paths.push_back(method == "forward" ? path : path + "." + method);
    }
    // The inlined body comes next: its own calls are exposed as well.
    node = before->next();
  }
  return found;
}

}  // namespace

c10::IValue MethodTrace::Run(const std::string& method, std::vector<c10::IValue> arguments) {
  MethodCall call;
  call.method = method;
  call.arguments = arguments;
  if (FirstCall(method) != nullptr) {
    call.result = module_.get_method(method)(std::move(arguments));
  } else {
    std::shared_ptr<Graph> graph =
        torch::jit::toGraphFunction(module_.get_method(method).function()).graph()->copy();
    std::vector<std::string> paths;
    // Branches on an argument that the caller gave as a constant disappear once it is known, which
    // brings the calls inside them to the top level.
    while (ExposeSubmoduleOutputs(*graph, paths)) torch::jit::ConstantPropagation(graph);
    torch::jit::GraphExecutor executor(graph, method);
    torch::jit::Stack stack;
    stack.emplace_back(module_._ivalue());
    for (c10::IValue& argument : arguments) stack.push_back(std::move(argument));
    executor.run(stack);
    call.result = stack.at(0);
    for (size_t i = 0; i < paths.size(); ++i) {
      call.submodule_outputs.emplace_back(paths[i], stack.at(1 + i).toTensor());
    }
  }
  calls_.push_back(std::move(call));
  return calls_.back().result;
}

const MethodCall* MethodTrace::FirstCall(const std::string& method) const {
  for (const MethodCall& call : calls_) {
    if (call.method == method) return &call;
  }
  return nullptr;
}

}  // namespace vlaserve
