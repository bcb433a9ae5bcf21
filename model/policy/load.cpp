#include "model/policy/load.h"

#include <functional>
#include <string>
#include <utility>

#include <ATen/ATen.h>
#include <torch/csrc/jit/api/module.h>

#include "model/archive/module.h"
#include "model/archive/torch_errors.h"
#include "model/checkpoint/tensor_names.h"
#include "model/policy/wanted_scalar_type.h"

namespace vlaserve {
namespace {

constexpr std::string_view kRopeBuffer = "rope_inv_freq";

// `visit(name, tensor)` for every tensor attribute below `module`; a tensor that it returns
// replaces the attribute of this instance (class types are shared, slots are not).
using TensorVisitor = std::function<at::Tensor(const std::string& name, const at::Tensor& tensor)>;

void ReplaceTensors(const torch::jit::Module& module, const std::string& prefix,
                    const TensorVisitor& visit) {
  const auto object = module._ivalue();
  for (size_t slot = 0; slot < object->slots().size(); ++slot) {
    const c10::IValue& value = object->getSlot(slot);
    if (!value.isTensor()) continue;
    const at::Tensor tensor = value.toTensor();
    if (!tensor.defined()) continue;
    at::Tensor replacement = visit(prefix + object->type()->getAttributeName(slot), tensor);
    if (replacement.defined()) object->setSlot(slot, std::move(replacement));
  }
  for (const auto& [name, child] : module.named_children()) {
    ReplaceTensors(child, prefix + name + ".", visit);
  }
}

bool IsFloat(at::ScalarType type) {
  return type == at::kFloat || type == at::kBFloat16 || type == at::kHalf || type == at::kDouble;
}

// Stands for a weight that something else computes with: a shape without memory of its own.
bool IsPlaceholder(const at::Tensor& tensor) { return tensor.storage().nbytes() < tensor.nbytes(); }

}  // namespace

DType WantedDtype(std::string_view name, DType stored, const RunOptions& options) {
  const bool adarms_dense = name.find("gemma_expert.model.") != std::string_view::npos &&
                            name.find("norm.dense.") != std::string_view::npos;
  if (adarms_dense && options.savings.step_table && stored != DType::kF64) return stored;
  if (options.compute_dtype == ComputeDtype::kFloat32 || IsFloat32Island(name)) return DType::kF32;
  return DType::kBF16;
}

Result<LoadSummary> LoadWeights(Archive& archive, const RunOptions& options) {
  return CatchTorchErrors(
      archive.path() + ": converting the weights", [&]() -> Result<LoadSummary> {
        c10::InferenceMode inference;
        LoadSummary summary;
        ReplaceTensors(archive.module().module, "",
                       [&](const std::string& name, const at::Tensor& tensor) -> at::Tensor {
                         if (name == kRopeBuffer) {
                           if (options.rope_inv_freq == RopeInvFreq::kExact) return {};
                           return tensor.to(at::kBFloat16).to(at::kFloat);
                         }
                         if (!IsFloat(tensor.scalar_type()) || IsPlaceholder(tensor)) return {};
                         const at::ScalarType wanted =
                             WantedScalarType(name, tensor.scalar_type(), options);
                         if (wanted == tensor.scalar_type()) {
                           summary.mapped_bytes += static_cast<int64_t>(tensor.nbytes());
                           return {};
                         }
                         at::Tensor converted = tensor.to(wanted);
                         summary.converted_bytes += static_cast<int64_t>(converted.nbytes());
                         archive.ReleasePages(name);
                         return converted;
                       });
        return summary;
      });
}

}  // namespace vlaserve
