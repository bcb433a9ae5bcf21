// Inside of the lowering: every linear of the inlined methods with the nodes that use it.
#pragma once

#include <string>
#include <vector>

#include "quant/pass/inlined_method.h"
#include "quant/pass/lower.h"
#include "quant/pass/stored_values.h"

namespace vlaserve {

// One linear, as FindLinears gives it, and where it is.
struct LinearSite {
  GraphLinear linear;
  StoredTensor weight;
  struct Use {
    size_t method = 0;  // index into the methods
    torch::jit::Node* node = nullptr;
  };
  std::vector<Use> uses;
};

// `stored`: one per method. Throws what LibTorch throws.
std::vector<LinearSite> FindLinearSites(const std::vector<InlinedMethod>& methods,
                                        const std::vector<StoredValues>& stored);

// Whether the user looks at the dtype, shape or device of the value and never at its numbers.
bool ReadsMetadataOnly(const torch::jit::Use& use);

}  // namespace vlaserve
