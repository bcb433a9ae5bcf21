#include "quant/engine/int_layer.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <ATen/ops/add.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mul.h>
#include <c10/util/Exception.h>

#include "kernels/quantize.h"
#include "kernels/transform.h"
#include "quant/engine/int_parallel.h"

namespace vlaserve {
namespace {

using kernels::ElementType;

ElementType ElementTypeOf(at::ScalarType dtype) {
  return dtype == at::kBFloat16 ? ElementType::kBFloat16 : ElementType::kFloat32;
}

bool IsKernelType(at::ScalarType dtype) { return dtype == at::kFloat || dtype == at::kBFloat16; }

// x [..., K] as rows of which each is contiguous.
at::Tensor AsRows(const at::Tensor& x) {
  const at::Tensor typed = IsKernelType(x.scalar_type()) ? x : x.to(at::kFloat);
  const at::Tensor rows = typed.reshape({-1, x.size(-1)});
  return rows.stride(1) == 1 && rows.stride(0) >= rows.size(1) ? rows : rows.contiguous();
}

// A norm's factor or shift as float32, one row or one per batch element; undefined: none.
at::Tensor NormRows(const at::Tensor& values, int64_t rows, int64_t columns) {
  if (!values.defined()) return {};
  at::Tensor flat = values.to(at::kFloat).reshape({-1, columns}).contiguous();
  TORCH_CHECK(flat.size(0) > 0 && rows % flat.size(0) == 0, "a norm has ", flat.size(0),
              " rows of factors for ", rows, " rows");
  return flat;
}

const float* DataOrNull(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<float>() : nullptr;
}

const float* DataOrNull(const std::vector<float>& values) {
  return values.empty() ? nullptr : values.data();
}

bool SameKind(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.device() == b.device();
}

// Whether `gate` is [N] or [B, 1, N] for y [B, S, N], not empty.
bool IsGateOf(const at::Tensor& gate, const at::Tensor& y) {
  if (!SameKind(gate, y) || y.numel() == 0) return false;
  if (gate.dim() == 1) return gate.size(0) == y.size(-1);
  return gate.dim() == 3 && y.dim() == 3 && gate.size(0) == y.size(0) && gate.size(1) == 1 &&
         gate.size(2) == y.size(2);
}

// residual + gate · y by separate operators; undefined ones are left out.
at::Tensor Plus(const at::Tensor& residual, const at::Tensor& gate, const at::Tensor& y) {
  if (!residual.defined()) return y;
  return at::add(residual, gate.defined() ? at::mul(y, gate) : y);
}

int64_t ActivationGroup(const ActivationSettings& settings) {
  return settings.mode == ActivationMode::kDynamicTokenGroup ? settings.group : 0;
}

}  // namespace

IntLayer::IntLayer(EngineInputs inputs)
    : inputs_(std::move(inputs)),
      kernels_(kernels::KernelsFor(inputs_.isa)),
      transform_(inputs_.pack),
      bias_(WideBias(inputs_.bias)),
      activation_group_(ActivationGroup(inputs_.settings.activation)) {
  const PackedLayer& pack = inputs_.pack;
  weights_ = {pack.out_features, pack.in_features,  pack.storage_bits,
              pack.group,        pack.codes.data(), pack.scales_fp16.data()};
}

bool IntLayer::SharesInput(const IntLayer& other) const {
  const PackedLayer& a = inputs_.pack;
  const PackedLayer& b = other.inputs_.pack;
  const bool rotated = a.rotate_in != RotateIn::kOff;
  return a.in_features == b.in_features && activation_group_ == other.activation_group_ &&
         kernels::StepColumns(a.in_features, a.group, activation_group_) ==
             kernels::StepColumns(b.in_features, b.group, other.activation_group_) &&
         std::ranges::equal(a.smooth, b.smooth) &&
         std::ranges::equal(a.permutation, b.permutation) && a.rotate_in == b.rotate_in &&
         (!rotated || a.block == b.block) && std::ranges::equal(a.rotations, b.rotations);
}

bool IntLayer::TransformsStayInTiles() const {
  const PackedLayer& pack = inputs_.pack;
  return pack.permutation.empty() &&
         (pack.rotate_in == RotateIn::kOff || kernels::FitsGatedTile(pack.block));
}

kernels::BlockedBuffer IntLayer::NewBuffer(int64_t rows) const {
  const int64_t step = kernels::StepColumns(in_features(), inputs_.pack.group, activation_group_);
  return {rows, in_features(), activation_group_, step, kernels_.max_rows};
}

c10::intrusive_ptr<QuantizedActivations> IntLayer::Quantize(const at::Tensor& x,
                                                            const NormInputs& norm) const {
  const int64_t columns = in_features();
  TORCH_CHECK(x.dim() > 0 && x.size(-1) == columns, inputs_.name, ": expected ", columns,
              " input features, found ", x.dim() > 0 ? x.size(-1) : 0);
  const at::Tensor rows = AsRows(x);
  const int64_t count = rows.size(0);
  const at::Tensor factor = NormRows(norm.factor, count, columns);
  const at::Tensor shift = NormRows(norm.shift, count, columns);

  const PackedLayer& pack = inputs_.pack;
  kernels::ActivationPass pass;
  pass.x = rows.const_data_ptr();
  pass.type = ElementTypeOf(rows.scalar_type());
  pass.stride = rows.stride(0);
  pass.norm = norm.kind;
  pass.eps = static_cast<float>(norm.eps);
  pass.factor = DataOrNull(factor);
  pass.shift = DataOrNull(shift);
  TORCH_CHECK(!factor.defined() || !shift.defined() || factor.size(0) == shift.size(0),
              "a norm's factors and shifts have different shapes");
  const at::Tensor& per_batch = factor.defined() ? factor : shift;
  if (per_batch.defined()) pass.rows_per_factor = std::max<int64_t>(1, count / per_batch.size(0));
  pass.inverse_smooth = DataOrNull(transform_.inverse_smooth());
  pass.permutation = pack.permutation.empty() ? nullptr : pack.permutation.data();
  if (pack.rotate_in != RotateIn::kOff) {
    pass.block = pack.block;
    pass.rotations = pack.rotate_in == RotateIn::kHadamard ? nullptr : pack.rotations.data();
    pass.shared_rotation = pack.rotate_in == RotateIn::kDuquantGreedy;
  }
  kernels::BlockedBuffer buffer = NewBuffer(count);
  const int64_t bad = ParallelQuantize(kernels_, pass, buffer.view());
  TORCH_CHECK(bad < 0, inputs_.name, ": input row ", bad, " holds NaN or Inf");
  std::vector<int64_t> leading = x.sizes().vec();
  leading.pop_back();
  return c10::make_intrusive<QuantizedActivations>(std::move(buffer), std::move(leading),
                                                   x.scalar_type());
}

c10::intrusive_ptr<QuantizedActivations> IntLayer::QuantizeGated(const QuantizedActivations& x,
                                                                 const IntLayer& gate,
                                                                 const IntLayer& up) const {
  const PackedLayer& pack = inputs_.pack;
  const int64_t rows = x.codes().rows;
  kernels::GatedHidden problem;
  problem.x = x.codes();
  problem.gate = gate.weights_;
  problem.up = up.weights_;
  problem.gate_bias = DataOrNull(gate.bias_);
  problem.up_bias = DataOrNull(up.bias_);
  problem.inverse_smooth = DataOrNull(transform_.inverse_smooth());
  if (pack.rotate_in != RotateIn::kOff) {
    problem.block = pack.block;
    problem.rotations = pack.rotate_in == RotateIn::kHadamard ? nullptr : pack.rotations.data();
    problem.shared_rotation = pack.rotate_in == RotateIn::kDuquantGreedy;
  }
  const int64_t width = kernels::GatedTileColumns(problem.block);
  const int64_t tiles = (in_features() + width - 1) / width;
  at::Tensor hidden = at::empty({rows, in_features()}, at::kFloat);
  at::Tensor largest = at::empty({rows, tiles}, at::kInt);
  problem.hidden = hidden.mutable_data_ptr<float>();
  problem.largest = reinterpret_cast<uint32_t*>(largest.mutable_data_ptr<int32_t>());
  ParallelGatedHidden(kernels_, problem);

  kernels::ActivationPass pass;
  pass.x = problem.hidden;
  pass.stride = in_features();
  if (GroupCount(in_features(), activation_group_) == 1) {
    pass.largest = problem.largest;
    pass.largest_count = tiles;
  }
  kernels::BlockedBuffer buffer = NewBuffer(rows);
  const int64_t bad = ParallelQuantize(kernels_, pass, buffer.view());
  TORCH_CHECK(bad < 0, inputs_.name, ": input row ", bad, " holds NaN or Inf");
  return c10::make_intrusive<QuantizedActivations>(std::move(buffer), x.leading(), x.dtype());
}

at::Tensor IntLayer::NewOutput(const QuantizedActivations& x, at::ScalarType dtype) const {
  std::vector<int64_t> shape = x.leading();
  shape.push_back(out_features());
  return at::empty(shape, dtype);
}

kernels::IntGemm IntLayer::Gemm(const QuantizedActivations& x, const at::Tensor& y) const {
  kernels::IntGemm gemm;
  gemm.x = x.codes();
  gemm.weights = weights_;
  gemm.out.data = y.data_ptr();
  gemm.out.type = ElementTypeOf(y.scalar_type());
  gemm.out.stride = out_features();
  gemm.out.bias = DataOrNull(bias_);
  return gemm;
}

// For what the GEMM's epilogue cannot do. The bias is not rotated and is therefore added behind the
// rotation.
at::Tensor IntLayer::InFloat32(const QuantizedActivations& x) const {
  at::Tensor y = NewOutput(x, at::kFloat);
  kernels::IntGemm gemm = Gemm(x, y);
  gemm.out.bias = nullptr;
  ParallelGemm(kernels_, {&gemm, 1});
  if (RestoresOutput()) transform_.RestoreOutput(y.view({-1, out_features()}));
  if (bias_.defined()) y.add_(bias_);
  return y.to(x.dtype());
}

at::Tensor IntLayer::Linear(const QuantizedActivations& x, const at::Tensor& residual,
                            const at::Tensor& gate) const {
  if (RestoresOutput() || !IsKernelType(x.dtype())) return Plus(residual, gate, InFloat32(x));
  const at::Tensor y = NewOutput(x, x.dtype());
  const bool adds = residual.defined() && SameKind(residual, y) && residual.sizes() == y.sizes() &&
                    (!gate.defined() || IsGateOf(gate, y));
  kernels::IntGemm gemm = Gemm(x, y);
  const at::Tensor rows = adds ? residual.contiguous() : at::Tensor();
  const at::Tensor gates = adds && gate.defined() ? gate.contiguous() : at::Tensor();
  if (rows.defined()) {
    gemm.out.residual = rows.const_data_ptr();
    gemm.out.residual_stride = out_features();
  }
  if (gates.defined()) {
    gemm.out.gate = gates.const_data_ptr();
    gemm.out.rows_per_gate = x.codes().rows / (gates.numel() / out_features());
  }
  ParallelGemm(kernels_, {&gemm, 1});
  return adds ? y : Plus(residual, gate, y);
}

std::vector<at::Tensor> IntLinears(const QuantizedActivations& x,
                                   std::span<const IntLayer* const> layers) {
  std::vector<at::Tensor> outputs;
  std::vector<kernels::IntGemm> gemms;
  for (const IntLayer* layer : layers) {
    if (layer->RestoresOutput() || !IsKernelType(x.dtype())) {
      outputs.push_back(layer->Linear(x));
      continue;
    }
    outputs.push_back(layer->NewOutput(x, x.dtype()));
    gemms.push_back(layer->Gemm(x, outputs.back()));
  }
  if (!gemms.empty()) ParallelGemm(layers.front()->kernels_, gemms);
  return outputs;
}

}  // namespace vlaserve
