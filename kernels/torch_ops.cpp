#include "kernels/torch_ops.h"

#include <cmath>
#include <limits>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros_like.h>
#include <torch/library.h>

#include "kernels/attention.h"
#include "kernels/cpu/kernel_table.h"
#include "kernels/isa.h"

namespace vlaserve {
namespace {

constexpr const char* kName = "vlaserve::attention";

kernels::ElementType ElementTypeOf(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kBFloat16 ? kernels::ElementType::kBFloat16
                                               : kernels::ElementType::kFloat32;
}

// The kernel reads rows whose elements are contiguous.
at::Tensor WithContiguousRows(const at::Tensor& tensor) {
  return tensor.size(-1) == 1 || tensor.stride(-1) == 1 ? tensor : tensor.contiguous();
}

kernels::AttentionTensor ViewOf(const at::Tensor& tensor) {
  return {tensor.const_data_ptr(), tensor.stride(0), tensor.stride(1), tensor.stride(2)};
}

void CheckInput(const char* name, const at::Tensor& tensor, const at::Tensor& query) {
  TORCH_CHECK(tensor.device().is_cpu(), kName, ": ", name, " is on ", tensor.device());
  TORCH_CHECK(tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kBFloat16, kName,
              ": ", name, " is ", tensor.scalar_type(), ", not float32 or bfloat16");
  TORCH_CHECK(tensor.scalar_type() == query.scalar_type(), kName, ": ", name, " is ",
              tensor.scalar_type(), " and query ", query.scalar_type());
  TORCH_CHECK(tensor.dim() == 4, kName, ": ", name, " has ", tensor.dim(), " dimensions, not 4");
  TORCH_CHECK(tensor.size(0) == query.size(0) && tensor.size(3) == query.size(3), kName, ": ", name,
              " is ", tensor.sizes(), " and query ", query.sizes());
}

void CheckShapes(const at::Tensor& query, const at::Tensor& keys, const at::Tensor& values) {
  CheckInput("query", query, query);
  CheckInput("keys", keys, query);
  CheckInput("values", values, query);
  TORCH_CHECK(keys.sizes() == values.sizes(), kName, ": keys are ", keys.sizes(), " and values ",
              values.sizes());
  TORCH_CHECK(keys.size(1) > 0 && query.size(1) % keys.size(1) == 0, kName, ": ", query.size(1),
              " query heads for ", keys.size(1), " KV heads");
  TORCH_CHECK(keys.size(2) > 0, kName, ": no keys");
}

// As float32 or bfloat16 and, with strides of 0, [B, H, S, T].
at::Tensor ExpandBias(const at::Tensor& bias, at::IntArrayRef logits) {
  TORCH_CHECK(bias.device().is_cpu(), kName, ": bias is on ", bias.device());
  at::Tensor added = bias;
  if (bias.scalar_type() == at::kBool) {
    added = at::zeros_like(bias, at::kFloat)
                .masked_fill_(bias.logical_not(), -std::numeric_limits<double>::infinity());
  }
  TORCH_CHECK(added.scalar_type() == at::kFloat || added.scalar_type() == at::kBFloat16, kName,
              ": bias is ", bias.scalar_type(), ", not float32, bfloat16 or bool");
  return WithContiguousRows(added.expand(logits));
}

}  // namespace

at::Tensor Attention(const at::Tensor& query, const at::Tensor& keys, const at::Tensor& values,
                     const std::optional<at::Tensor>& bias) {
  CheckShapes(query, keys, values);
  const at::Tensor q = WithContiguousRows(query);
  const at::Tensor k = WithContiguousRows(keys);
  const at::Tensor v = WithContiguousRows(values);
  const int64_t batch = q.size(0);
  const int64_t heads = q.size(1);
  const int64_t queries = q.size(2);
  const int64_t head_dim = q.size(3);
  at::Tensor out = at::empty({batch, queries, heads * head_dim}, q.options());
  if (out.numel() == 0) return out;

  kernels::Attention problem;
  problem.type = ElementTypeOf(q);
  problem.batch = batch;
  problem.heads = heads;
  problem.kv_heads = k.size(1);
  problem.queries = queries;
  problem.keys = k.size(2);
  problem.head_dim = head_dim;
  problem.scale = 1.0F / std::sqrt(static_cast<float>(head_dim));
  problem.q = ViewOf(q);
  problem.k = ViewOf(k);
  problem.v = ViewOf(v);
  problem.out = out.mutable_data_ptr();
  at::Tensor added;
  if (bias) {
    added = ExpandBias(*bias, {batch, heads, queries, problem.keys});
    problem.bias = added.const_data_ptr();
    problem.bias_type = ElementTypeOf(added);
    problem.bias_batch_stride = added.stride(0);
    problem.bias_head_stride = added.stride(1);
    problem.bias_row_stride = added.stride(2);
  }
  const kernels::CpuKernels& table = kernels::KernelsFor(kernels::CurrentIsa().isa);
  at::parallel_for(0, kernels::AttentionItems(problem), 1,
                   [&](int64_t begin, int64_t end) { table.attention(problem, begin, end); });
  return out;
}

TORCH_LIBRARY_FRAGMENT(vlaserve, library) {
  library.def("attention(Tensor query, Tensor keys, Tensor values, Tensor? bias) -> Tensor",
              Attention);
}

c10::Symbol AttentionSymbol() { return c10::Symbol::fromQualString(kName); }

}  // namespace vlaserve
