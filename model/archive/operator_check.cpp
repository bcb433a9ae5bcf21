#include "model/archive/operator_check.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <torch/csrc/jit/api/compilation_unit.h>
#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/passes/inliner.h>

#include "model/archive/operator_allow_list.h"
#include "model/archive/stored_writes.h"
#include "model/archive/torch_errors.h"

namespace vlaserve {
namespace {

using namespace torch::jit;

constexpr uint64_t kMaxNodes = 1'000'000;

std::string LineOf(const Node& node) {
  const SourceRange range = node.sourceRange();
  const auto place = range.file_line_col();
  if (!place.has_value()) return {};
  const auto& [file, line, column] = *place;
  return " (" + file + ", line " + std::to_string(line) + ")";
}

// Nodes of a function with all calls inlined, as LibTorch will do before running it; saturates at
// kMaxNodes. LibTorch compiles no recursive functions.
class SizeEstimate {
 public:
  uint64_t Of(GraphFunction& function) {
    const auto [known, inserted] = sizes_.emplace(&function, kMaxNodes);
    if (!inserted) return known->second;
    const uint64_t size = Of(*function.graph()->block());
    sizes_[&function] = size;
    return size;
  }

 private:
  uint64_t Of(const Block& block) {
    uint64_t size = 0;
    for (Node* node : const_cast<Block&>(block).nodes()) {
      GraphFunction* callee = tryToGraphFunction(node);
      size += callee == nullptr ? 1 : Of(*callee);
      for (const Block* inner : node->blocks()) size += Of(*inner);
      if (size >= kMaxNodes) return kMaxNodes;
    }
    return size;
  }

  std::map<const GraphFunction*, uint64_t> sizes_;
};

// TorchScript believes an unchecked_cast: a value that is not what it says sends the interpreter to
// attributes or tuple elements that are not there. What compilers write narrows an Optional, whose
// values are checked where they are used.
bool CastAllowed(const Node& cast) {
  const c10::TypePtr& from = cast.input()->type();
  const c10::TypePtr& to = cast.output()->type();
  if (*from == *to || to->kind() == c10::TypeKind::NoneType) return true;
  const auto optional = from->cast<c10::OptionalType>();
  return optional != nullptr && *optional->getElementType() == *to;
}

// The first node below `block` that `refused` is true for; null if there is none.
template <typename Predicate>
const Node* FindNode(Block& block, const Predicate& refused) {
  for (Node* node : block.nodes()) {
    if (refused(*node)) return node;
    for (Block* inner : node->blocks()) {
      if (const Node* found = FindNode(*inner, refused)) return found;
    }
  }
  return nullptr;
}

// What is wrong with the functions, which call nothing but each other.
std::optional<std::string> CheckFunctions(const std::vector<GraphFunction*>& functions) {
  const auto method = [](const GraphFunction& function) {
    return "method " + function.qualname().qualifiedName();
  };
  SizeEstimate sizes;
  for (GraphFunction* function : functions) {
    Block& block = *function->graph()->block();
    if (const Node* node = FindNode(block, [](Node& candidate) {
          return Callee(candidate) == nullptr && !OperatorAllowed(candidate.kind().toQualString());
        })) {
      return method(*function) + LineOf(*node) + " uses operator " + node->kind().toQualString() +
             ", which is not on the allow-list for policies; refused";
    }
    if (const Node* node = FindNode(block, [](const Node& candidate) {
          return candidate.kind() == prim::unchecked_cast && !CastAllowed(candidate);
        })) {
      return method(*function) + LineOf(*node) + " casts " +
             node->input()->type()->annotation_str() + " to " +
             node->output()->type()->annotation_str() +
             " unchecked; only an Optional may be narrowed; refused";
    }
    if (sizes.Of(*function) >= kMaxNodes) {
      return method(*function) + " inlines to a million operators or more";
    }
  }
  if (const Node* node = FindStoredWrite(functions)) {
    const auto writer = std::find_if(
        functions.begin(), functions.end(),
        [&](GraphFunction* function) { return function->graph().get() == node->owningGraph(); });
    return method(**writer) + LineOf(*node) + " writes with " + node->kind().toQualString() +
           " into a parameter, buffer or constant of the archive; refused";
  }
  return std::nullopt;
}

}  // namespace

Status CheckOperators(const torch::jit::Module& module, const std::string& path) {
  const auto check = [&]() -> Status {
    std::vector<GraphFunction*> functions;
    for (Function* function : module._ivalue()->compilation_unit()->get_functions()) {
      functions.push_back(&toGraphFunction(*function));
    }
    const std::optional<std::string> problem = CheckFunctions(functions);
    if (problem.has_value()) return {StatusCode::kUnreadable, path + ": " + *problem};
    return Status::Ok();
  };
  return CatchTorchErrors(path, check, StatusCode::kUnreadable);
}

}  // namespace vlaserve
