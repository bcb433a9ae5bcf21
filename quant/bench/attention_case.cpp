#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/softmax.h>

#include "kernels/torch_ops.h"
#include "quant/bench/case_parts.h"
#include "quant/bench/contender.h"

namespace vlaserve {
namespace {

enum class Way { kKernel, kSdpa, kMatmul };
constexpr Way kWays[] = {Way::kKernel, Way::kSdpa, Way::kMatmul};
constexpr at::ScalarType kTypes[] = {at::kBFloat16, at::kFloat};

std::string NameOf(Way way, at::ScalarType type) {
  const char* type_name = type == at::kFloat ? "_f32" : "_bf16";
  switch (way) {
    case Way::kKernel:
      return std::string("kernel") + type_name;
    case Way::kSdpa:
      return std::string("sdpa") + type_name;
    case Way::kMatmul:
      return std::string("matmul") + type_name;
  }
  return "";
}

constexpr double kFloat32Tolerance = 1e-4;
constexpr double kBFloat16Tolerance = 0.02;

// q, k and v as the policies' projections and buffers hold them: [batch, queries, heads, head_dim]
// and [batch, KV heads, keys, head_dim]. Results are [batch, queries, heads, head_dim].
struct Inputs {
  AttentionShape shape;
  at::Tensor q, k, v;
};

Inputs To(at::ScalarType type, const Inputs& inputs) {
  return {inputs.shape, inputs.q.to(type), inputs.k.to(type), inputs.v.to(type)};
}

float Scale(const AttentionShape& shape) {
  return 1 / std::sqrt(static_cast<float>(shape.head_dim));
}

// As the archives' modules do it.
at::Tensor Sdpa(const Inputs& inputs) {
  const AttentionShape& shape = inputs.shape;
  const auto shared = [&](const at::Tensor& rows) {
    return rows.unsqueeze(2)
        .expand({-1, -1, shape.heads / shape.kv_heads, -1, -1})
        .reshape({shape.batch, shape.heads, shape.keys, shape.head_dim});
  };
  return at::scaled_dot_product_attention(inputs.q.transpose(1, 2), shared(inputs.k),
                                          shared(inputs.v))
      .transpose(1, 2)
      .contiguous();
}

// Two matrix products per KV head: its query heads are more rows.
at::Tensor FoldedMatmuls(const Inputs& inputs) {
  const AttentionShape& shape = inputs.shape;
  const int64_t shared = shape.heads / shape.kv_heads;
  const at::Tensor q = inputs.q.view({shape.batch, shape.queries, shape.kv_heads, shared, -1})
                           .permute({0, 2, 1, 3, 4})
                           .reshape({shape.batch, shape.kv_heads, shape.queries * shared, -1});
  const at::Tensor logits = at::matmul(q, inputs.k.transpose(2, 3)).to(at::kFloat);
  const at::Tensor weights = at::softmax(logits.mul_(Scale(shape)), -1).to(inputs.v.scalar_type());
  return at::matmul(weights, inputs.v)
      .view({shape.batch, shape.kv_heads, shape.queries, shared, -1})
      .permute({0, 2, 1, 3, 4})
      .reshape({shape.batch, shape.queries, shape.heads, -1});
}

at::Tensor Compute(Way way, const Inputs& inputs) {
  switch (way) {
    case Way::kKernel:
      return Attention(inputs.q.transpose(1, 2), inputs.k, inputs.v, std::nullopt)
          .view(inputs.q.sizes());
    case Way::kSdpa:
      return Sdpa(inputs);
    case Way::kMatmul:
      return FoldedMatmuls(inputs);
  }
  return {};
}

class AttentionCase : public BenchCase {
 public:
  AttentionCase(const AttentionShape& shape, const KernelBenchOptions& options)
      : shape_(shape), options_(options) {}

  std::vector<Contender> Contenders(int64_t rows) override {
    AttentionShape shape = shape_;
    shape.queries = rows;
    const Inputs inputs{shape, at::randn({shape.batch, rows, shape.heads, shape.head_dim}),
                        at::randn({shape.batch, shape.kv_heads, shape.keys, shape.head_dim}),
                        at::randn({shape.batch, shape.kv_heads, shape.keys, shape.head_dim})};
    const auto expected = std::make_shared<at::Tensor>();
    std::vector<Contender> contenders;
    for (const at::ScalarType type : kTypes) {
      const Inputs typed = To(type, inputs);
      for (const Way way : kWays) Add(way, typed, inputs, expected, contenders);
    }
    return contenders;
  }

 private:
  void Add(Way way, const Inputs& typed, const Inputs& inputs,
           const std::shared_ptr<at::Tensor>& expected, std::vector<Contender>& contenders) const {
    const bool wide = typed.q.scalar_type() == at::kFloat;
    Contender contender;
    contender.name = NameOf(way, typed.q.scalar_type());
    if (!Wanted(options_, contender.name)) return;
    contender.arithmetic = wide ? Arithmetic::kFloat32 : Arithmetic::kBFloat16;
    const AttentionShape& shape = inputs.shape;
    contender.operations = 4.0 * static_cast<double>(shape.batch * shape.heads * shape.queries) *
                           static_cast<double>(shape.keys * shape.head_dim);
    const auto result = std::make_shared<at::Tensor>();
    contender.run = [way, typed, result](int64_t) { *result = Compute(way, typed); };
    contender.result = [result] { return result->to(at::kFloat); };
    contender.expected = [inputs, expected] {
      if (!expected->defined()) *expected = FoldedMatmuls(inputs);
      return *expected;
    };
    contender.tolerance = wide ? kFloat32Tolerance : kBFloat16Tolerance;
    contenders.push_back(std::move(contender));
  }

  AttentionShape shape_;
  KernelBenchOptions options_;
};

}  // namespace

std::vector<std::string> AttentionContenders() {
  std::vector<std::string> names;
  for (const at::ScalarType type : kTypes) {
    for (const Way way : kWays) names.push_back(NameOf(way, type));
  }
  return names;
}

std::unique_ptr<BenchCase> MakeAttentionCase(const AttentionShape& shape,
                                             const KernelBenchOptions& options) {
  return std::make_unique<AttentionCase>(shape, options);
}

}  // namespace vlaserve
