// One layer on the integer kernels, in pieces: what the fused operators are put together from.
// Includes LibTorch.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/custom_class.h>

#include "kernels/cpu/kernel_table.h"
#include "quant/engine/activations.h"
#include "quant/engine/engine_inputs.h"

namespace vlaserve {

// Activations as codes, on their way from one operator to the next. The TorchScript class
// torch.classes.vlaserve.QuantizedActivations. Immutable once made.
class QuantizedActivations : public torch::CustomClassHolder {
 public:
  QuantizedActivations(kernels::BlockedBuffer buffer, std::vector<int64_t> leading,
                       at::ScalarType dtype)
      : buffer_(std::move(buffer)), leading_(std::move(leading)), dtype_(dtype) {}

  const kernels::BlockedActivations& codes() const { return buffer_.view(); }
  // Shape without the last dimension, and dtype, of the tensor that they were made from.
  const std::vector<int64_t>& leading() const { return leading_; }
  at::ScalarType dtype() const { return dtype_; }

 private:
  kernels::BlockedBuffer buffer_;
  std::vector<int64_t> leading_;
  at::ScalarType dtype_;
};

// The norm in front of a layer, as kernels/activation_pass.h computes it. factor, shift: [K] or
// [B, 1, K] for x [B, …, K]; undefined: none.
struct NormInputs {
  kernels::NormKind kind = kernels::NormKind::kNone;
  double eps = 0;
  at::Tensor factor;
  at::Tensor shift;
};

// All of it throws c10::Error, naming the layer; a NaN or Inf in activations is such an error. One
// thread at a time; uses at::parallel_for. Same bytes for any number of threads.
class IntLayer {
 public:
  // Pack and bias as MakeIntEngine wants them. Keeps views into the pack.
  explicit IntLayer(EngineInputs inputs);

  const EngineInputs& inputs() const { return inputs_; }
  int64_t in_features() const { return inputs_.pack.in_features; }
  int64_t out_features() const { return inputs_.pack.out_features; }

  // Whether both want the same codes of the same input: transforms, scales and sums agree.
  bool SharesInput(const IntLayer& other) const;
  // Whether the layer's transforms stay within tiles of its input's columns, so that whoever
  // computes the input in tiles can apply them (kernels::GatedHidden).
  bool TransformsStayInTiles() const;
  // Whether the rows of its output have to be rotated back.
  bool RestoresOutput() const { return transform_.restores_output(); }

  // x [..., K], float32 or bfloat16 (others are converted).
  c10::intrusive_ptr<QuantizedActivations> Quantize(const at::Tensor& x,
                                                    const NormInputs& norm = {}) const;

  // What this layer, whose input is the gated MLP's hidden row, gets of gate and up, which share x
  // and restore no output. This layer's TransformsStayInTiles.
  c10::intrusive_ptr<QuantizedActivations> QuantizeGated(const QuantizedActivations& x,
                                                         const IntLayer& gate,
                                                         const IntLayer& up) const;

  // y [..., N] in x's dtype, bias included. With `residual` (y's shape; undefined: none):
  // residual + y, or residual + gate · y for a gate [N] or [B, 1, N], rounded once; where dtypes
  // or shapes are others, what separate operators give.
  at::Tensor Linear(const QuantizedActivations& x, const at::Tensor& residual = {},
                    const at::Tensor& gate = {}) const;

 private:
  friend std::vector<at::Tensor> IntLinears(const QuantizedActivations& x,
                                            std::span<const IntLayer* const> layers);

  kernels::BlockedBuffer NewBuffer(int64_t rows) const;
  kernels::IntGemm Gemm(const QuantizedActivations& x, const at::Tensor& y) const;
  at::Tensor NewOutput(const QuantizedActivations& x, at::ScalarType dtype) const;
  at::Tensor InFloat32(const QuantizedActivations& x) const;

  EngineInputs inputs_;
  const kernels::CpuKernels& kernels_;
  ActivationTransform transform_;  // for its scales and the output's rotation
  at::Tensor bias_;                // float32 [N]; undefined: none
  kernels::PanelWeights weights_;
  int64_t activation_group_ = 0;
};

// The outputs of several layers of one input, in their order, computed in one parallel region.
std::vector<at::Tensor> IntLinears(const QuantizedActivations& x,
                                   std::span<const IntLayer* const> layers);

}  // namespace vlaserve
