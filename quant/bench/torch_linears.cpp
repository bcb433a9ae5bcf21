#include "quant/bench/torch_linears.h"

#include <utility>

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/linear.h>

#include "model/archive/torch_errors.h"
#include "quant/bench/case_parts.h"

namespace vlaserve {
namespace {

// Operators of LibTorch's oneDNN back end have no C++ function, only a name.
at::Tensor CallByName(const char* name, torch::jit::Stack arguments) {
  const c10::OperatorHandle handle = c10::Dispatcher::singleton().findSchemaOrThrow(name, "");
  handle.callBoxed(arguments);
  return std::move(arguments.front()).toTensor();
}

at::Tensor Reordered(const at::Tensor& weight, int64_t rows) {
  return CallByName("mkldnn::_reorder_linear_weight", {weight, rows});
}

at::Tensor PrepackedLinear(const at::Tensor& x, const at::Tensor& weight) {
  return CallByName(
      "mkldnn::_linear_pointwise",
      {x, weight, c10::IValue(), "none", c10::List<std::optional<at::Scalar>>(), c10::IValue()});
}

}  // namespace

std::string_view TorchLinearName(TorchLinearKind kind) {
  switch (kind) {
    case TorchLinearKind::kFloat32:
      return "linear_f32";
    case TorchLinearKind::kBFloat16:
      return "linear_bf16";
    case TorchLinearKind::kBFloat16Prepacked:
      return "linear_bf16_prepacked";
  }
  return "";
}

at::ScalarType TorchLinearType(TorchLinearKind kind) {
  return kind == TorchLinearKind::kFloat32 ? at::kFloat : at::kBFloat16;
}

TorchLinear::TorchLinear(TorchLinearKind kind, const at::Tensor& weight, int64_t rows,
                         const KernelBenchOptions& options)
    : kind_(kind) {
  const at::Tensor typed = weight.to(TorchLinearType(kind));
  weight_bytes_ = static_cast<int64_t>(typed.nbytes());
  const int64_t count = CopyCount(options, weight_bytes_);
  if (kind != TorchLinearKind::kBFloat16Prepacked) {
    weights_ = Copies(typed, count);
    return;
  }
  try {
    for (int64_t i = 0; i < count; ++i) weights_.push_back(Reordered(typed, rows));
  } catch (const c10::Error& error) {
    missing_ = TorchMessage(error);
  }
}

at::Tensor TorchLinear::Forward(const at::Tensor& x, int64_t call) const {
  const at::Tensor& weight = weights_[static_cast<size_t>(call) % weights_.size()];
  return kind_ == TorchLinearKind::kBFloat16Prepacked ? PrepackedLinear(x, weight)
                                                      : at::linear(x, weight);
}

}  // namespace vlaserve
