#include <map>
#include <memory>
#include <optional>
#include <utility>

#include <ATen/ops/_int_mm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>

#include "kernels/cpu/kernel_table.h"
#include "quant/bench/case_parts.h"
#include "quant/bench/contender.h"
#include "quant/bench/torch_linears.h"
#include "quant/engine/int_parallel.h"

namespace vlaserve {
namespace {

struct Format {
  std::string name;
  int64_t bits;
  int64_t group;              // of the weight
  int64_t activation_group;   // 0: per token
  kernels::ElementType type;  // of y
};

const std::vector<Format>& Formats() {
  using kernels::ElementType;
  static const std::vector<Format> formats = {
      {"w4_row", 4, 0, 0, ElementType::kFloat32},
      {"w4_row_bf16", 4, 0, 0, ElementType::kBFloat16},
      {"w4_g128", 4, 128, 0, ElementType::kFloat32},
      {"w4_g128_a128", 4, 128, 128, ElementType::kFloat32},
      {"w8_row", 8, 0, 0, ElementType::kFloat32},
  };
  return formats;
}

constexpr const char* kIntMm = "int_mm_kn";
constexpr const char* kIntMmTransposed = "int_mm_nk";

// What a format does: nothing but the GEMM, or a rotation and quantization before it.
std::vector<std::optional<Rotation>> Variants() {
  std::vector<std::optional<Rotation>> variants = {std::nullopt};
  variants.insert(variants.end(), std::begin(kRotations), std::end(kRotations));
  return variants;
}

std::string VariantName(const Format& format, std::optional<Rotation> rotation) {
  return rotation ? format.name + std::string(RotationSuffix(*rotation)) : format.name;
}

// Errors that rounding explains: bfloat16's 8 bits, and 8-bit codes of rows whose largest value is
// some four standard deviations.
constexpr double kFloat32Tolerance = 1e-5;
constexpr double kBFloat16Tolerance = 0.01;
constexpr double kIntegerTolerance = 0.02;

double Tolerance(TorchLinearKind kind) {
  return kind == TorchLinearKind::kFloat32 ? kFloat32Tolerance : kBFloat16Tolerance;
}

// x of a case, and y from float32 with this x rotated: computed when first asked for.
class LinearInput {
 public:
  LinearInput(at::Tensor rows, at::Tensor weight, at::Tensor rotations)
      : rows_(std::move(rows)), weight_(std::move(weight)), rotations_(std::move(rotations)) {}

  const at::Tensor& rows() const { return rows_; }
  at::Tensor rotations(Rotation rotation) const {
    return rotation == Rotation::kDense ? rotations_ : at::Tensor();
  }

  at::Tensor Expected(Rotation rotation) {
    at::Tensor& expected = expected_[rotation];
    if (!expected.defined()) {
      expected = at::linear(Rotated(rows_, rotation, rotations(rotation)), weight_);
    }
    return expected;
  }

 private:
  at::Tensor rows_;
  at::Tensor weight_;
  at::Tensor rotations_;
  std::map<Rotation, at::Tensor> expected_;
};

class LinearCase : public BenchCase {
 public:
  LinearCase(const LinearShape& shape, const KernelBenchOptions& options)
      : shape_(shape),
        options_(options),
        kernels_(kernels::KernelsFor(kernels::CurrentIsa().isa)),
        weight_(MakeRandomWeight(shape.out_features, shape.in_features)),
        float_weight_(weight_.Float32()),
        rotations_(RotationValues(Rotation::kDense, shape.in_features)) {}

  std::vector<Contender> Contenders(int64_t rows) override {
    std::vector<Contender> contenders;
    auto input = std::make_shared<LinearInput>(at::randn({rows, shape_.in_features}), float_weight_,
                                               rotations_);
    for (const Format& format : Formats()) AddOurs(format, input, contenders);
    for (const TorchLinearKind kind : kTorchLinears) AddTorch(kind, input, contenders);
    AddIntMm(kIntMm, /*transposed=*/false, input, contenders);
    AddIntMm(kIntMmTransposed, /*transposed=*/true, input, contenders);
    return contenders;
  }

 private:
  using Input = std::shared_ptr<LinearInput>;

  Contender Begin(const std::string& name, Arithmetic arithmetic, const Input& input) const {
    Contender contender;
    contender.name = name;
    contender.arithmetic = arithmetic;
    contender.operations = 2.0 * static_cast<double>(input->rows().size(0)) *
                           static_cast<double>(shape_.in_features) *
                           static_cast<double>(shape_.out_features);
    return contender;
  }

  void AddOurs(const Format& format, const Input& input, std::vector<Contender>& contenders) {
    for (const std::optional<Rotation> rotation : Variants()) {
      const std::string name = VariantName(format, rotation);
      if (!Wanted(options_, name)) continue;
      Contender contender = Begin(name, Arithmetic::kInteger, input);
      if (rotation) contender.missing = RotationProblem(*rotation, shape_.in_features);
      if (contender.missing.empty()) FillOurs(format, rotation, input, contender);
      contenders.push_back(std::move(contender));
    }
  }

  void FillOurs(const Format& format, std::optional<Rotation> rotation, const Input& input,
                Contender& contender) {
    const int64_t rows = input->rows().size(0);
    const int64_t step =
        kernels::StepColumns(shape_.in_features, format.group, format.activation_group);
    const auto codes = std::make_shared<kernels::BlockedBuffer>(
        rows, shape_.in_features, format.activation_group, step, kernels_.max_rows);
    const auto weights = Panels(format);
    const at::Tensor y =
        at::empty({rows, shape_.out_features},
                  format.type == kernels::ElementType::kBFloat16 ? at::kBFloat16 : at::kFloat);
    const Rotation turned = rotation.value_or(Rotation::kNone);
    const kernels::ActivationPass pass = PassOf(input->rows(), turned, input->rotations(turned));
    if (!rotation) ParallelQuantize(kernels_, pass, codes->view());
    contender.weight_bytes = static_cast<double>(weights->bytes());
    contender.run = [this, type = format.type, codes, weights, y, pass, input,
                     quantize = rotation.has_value()](int64_t call) {
      if (quantize) ParallelQuantize(kernels_, pass, codes->view());
      kernels::IntGemm gemm;
      gemm.x = codes->view();
      gemm.weights = weights->at(call);
      gemm.out.data = y.mutable_data_ptr();
      gemm.out.type = type;
      gemm.out.stride = shape_.out_features;
      ParallelGemm(kernels_, {&gemm, 1});
    };
    contender.result = [y] { return y.to(at::kFloat); };
    contender.expected = [input, turned] { return input->Expected(turned); };
    contender.tolerance = kIntegerTolerance;
  }

  void AddTorch(TorchLinearKind kind, const Input& input, std::vector<Contender>& contenders) {
    const std::string name(TorchLinearName(kind));
    if (!Wanted(options_, name)) return;
    Contender contender = Begin(
        name, kind == TorchLinearKind::kFloat32 ? Arithmetic::kFloat32 : Arithmetic::kBFloat16,
        input);
    const auto linear = TorchCopies(kind, input->rows().size(0));
    contender.missing = linear->missing();
    if (contender.missing.empty()) {
      contender.weight_bytes = static_cast<double>(linear->weight_bytes());
      const at::Tensor x = input->rows().to(TorchLinearType(kind));
      const auto y = std::make_shared<at::Tensor>();
      contender.run = [linear, x, y](int64_t call) { *y = linear->Forward(x, call); };
      contender.result = [y] { return y->to(at::kFloat); };
      contender.expected = [input] { return input->Expected(Rotation::kNone); };
      contender.tolerance = Tolerance(kind);
    }
    contenders.push_back(std::move(contender));
  }

  // The bare product of codes, rows quantized with one scale per token.
  void AddIntMm(const std::string& name, bool transposed, const Input& input,
                std::vector<Contender>& contenders) {
    if (!Wanted(options_, name)) return;
    std::vector<at::Tensor>& weights = int_mm_weights_[name];
    if (weights.empty()) {
      const at::Tensor codes = transposed ? weight_.codes : weight_.codes.t().contiguous();
      weights = Copies(codes, CopyCount(options_, codes.numel()));
    }
    Contender contender = Begin(name, Arithmetic::kInteger, input);
    contender.weight_bytes = static_cast<double>(weights.front().nbytes());
    const at::Tensor scales = input->rows().abs().amax(1, /*keepdim=*/true).div(127);
    const at::Tensor x = input->rows().div(scales).round().to(at::kChar);
    const auto y = std::make_shared<at::Tensor>();
    contender.run = [&weights, transposed, x, y](int64_t call) {
      const at::Tensor& weight = weights[static_cast<size_t>(call) % weights.size()];
      *y = at::_int_mm(x, transposed ? weight.t() : weight);
    };
    contender.result = [y, scales, weight_scales = weight_.scales] {
      return y->to(at::kFloat).mul_(scales).mul_(weight_scales);
    };
    contender.expected = [input] { return input->Expected(Rotation::kNone); };
    contender.tolerance = kIntegerTolerance;
    contenders.push_back(std::move(contender));
  }

  // Both outputs' types share their panels.
  std::shared_ptr<PanelCopies> Panels(const Format& format) {
    std::shared_ptr<PanelCopies>& panels = panels_[{format.bits, format.group}];
    if (panels == nullptr) {
      panels = std::make_shared<PanelCopies>(weight_, format.bits, format.group, options_);
    }
    return panels;
  }

  // Prepacked weights are laid out for a number of rows.
  std::shared_ptr<TorchLinear> TorchCopies(TorchLinearKind kind, int64_t rows) {
    std::shared_ptr<TorchLinear>& linear = torch_[kind];
    if (linear == nullptr || kind == TorchLinearKind::kBFloat16Prepacked) {
      linear = std::make_shared<TorchLinear>(kind, float_weight_, rows, options_);
    }
    return linear;
  }

  LinearShape shape_;
  KernelBenchOptions options_;
  const kernels::CpuKernels& kernels_;
  RandomWeight weight_;
  at::Tensor float_weight_;
  at::Tensor rotations_;
  std::map<std::pair<int64_t, int64_t>, std::shared_ptr<PanelCopies>> panels_;
  std::map<TorchLinearKind, std::shared_ptr<TorchLinear>> torch_;
  std::map<std::string, std::vector<at::Tensor>> int_mm_weights_;
};

}  // namespace

std::vector<std::string> LinearContenders() {
  std::vector<std::string> names;
  for (const Format& format : Formats()) {
    for (const std::optional<Rotation> rotation : Variants()) {
      names.push_back(VariantName(format, rotation));
    }
  }
  for (const TorchLinearKind kind : kTorchLinears) names.emplace_back(TorchLinearName(kind));
  names.insert(names.end(), {kIntMm, kIntMmTransposed});
  return names;
}

std::unique_ptr<BenchCase> MakeLinearCase(const LinearShape& shape,
                                          const KernelBenchOptions& options) {
  return std::make_unique<LinearCase>(shape, options);
}

}  // namespace vlaserve
