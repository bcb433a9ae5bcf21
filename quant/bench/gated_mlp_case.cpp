#include <map>
#include <memory>
#include <utility>

#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/randn.h>

#include "kernels/cpu/kernel_table.h"
#include "quant/bench/case_parts.h"
#include "quant/bench/contender.h"
#include "quant/bench/torch_linears.h"
#include "quant/engine/int_parallel.h"

namespace vlaserve {
namespace {

// Errors that rounding explains. The hidden row's distribution has long tails, so that 8-bit codes
// of it are coarse: a few percent.
constexpr double kFloat32Tolerance = 1e-4;
constexpr double kBFloat16Tolerance = 0.02;
constexpr double kIntegerTolerance = 0.08;

std::string OurName(Rotation rotation) { return "w4_row" + std::string(RotationSuffix(rotation)); }

at::Tensor Gelu(const at::Tensor& x) { return at::gelu(x, "tanh"); }

struct FloatWeights {
  at::Tensor gate;
  at::Tensor up;
  at::Tensor down;
};

// x of a case, and y from float32 with x and the hidden rows rotated.
class MlpInput {
 public:
  MlpInput(at::Tensor rows, FloatWeights weights)
      : rows_(std::move(rows)), weights_(std::move(weights)) {}

  const at::Tensor& rows() const { return rows_; }

  at::Tensor Expected(Rotation rotation, const at::Tensor& rotations,
                      const at::Tensor& hidden_rotations) {
    at::Tensor& expected = expected_[rotation];
    if (!expected.defined()) {
      const at::Tensor x = Rotated(rows_, rotation, rotations);
      const at::Tensor hidden = Gelu(at::linear(x, weights_.gate)).mul_(at::linear(x, weights_.up));
      expected = at::linear(Rotated(hidden, rotation, hidden_rotations), weights_.down);
    }
    return expected;
  }

 private:
  at::Tensor rows_;
  FloatWeights weights_;
  std::map<Rotation, at::Tensor> expected_;
};

// From x to y on our kernels, in the steps of the fused operators: rotate and quantize; gate, up,
// GELU, product and the down projection's rotation; quantize; down.
class FusedMlp {
 public:
  struct Weights {
    PanelCopies gate;
    PanelCopies up;
    PanelCopies down;
  };

  FusedMlp(const kernels::CpuKernels& kernels, std::shared_ptr<const Weights> weights,
           const GatedMlpShape& shape, const at::Tensor& rows, Rotation rotation,
           const at::Tensor& rotations, const at::Tensor& hidden_rotations)
      : kernels_(kernels),
        weights_(std::move(weights)),
        shape_(shape),
        rotation_(rotation),
        rows_(rows),
        rotations_(rotations),
        hidden_rotations_(hidden_rotations),
        codes_(rows.size(0), shape.width, 0, kernels::StepColumns(shape.width, 0, 0),
               kernels.max_rows),
        hidden_codes_(rows.size(0), shape.hidden, 0, kernels::StepColumns(shape.hidden, 0, 0),
                      kernels.max_rows),
        hidden_(at::empty({rows.size(0), shape.hidden})),
        y_(at::empty({rows.size(0), shape.width})) {
    const int64_t tile =
        kernels::GatedTileColumns(rotation == Rotation::kNone ? 1 : kRotationBlock);
    tiles_ = (shape.hidden + tile - 1) / tile;
    largest_ = at::empty({rows.size(0), tiles_}, at::kInt);
  }

  void Run(int64_t call) {
    ParallelQuantize(kernels_, PassOf(rows_, rotation_, rotations_), codes_.view());
    auto* largest = reinterpret_cast<uint32_t*>(largest_.mutable_data_ptr<int32_t>());
    kernels::GatedHidden problem;
    problem.x = codes_.view();
    problem.gate = weights_->gate.at(call);
    problem.up = weights_->up.at(call);
    if (rotation_ != Rotation::kNone) problem.block = kRotationBlock;
    if (rotation_ == Rotation::kDense) {
      problem.rotations = hidden_rotations_.const_data_ptr<float>();
    }
    problem.hidden = hidden_.mutable_data_ptr<float>();
    problem.largest = largest;
    ParallelGatedHidden(kernels_, problem);
    kernels::ActivationPass pass = PassOf(hidden_, Rotation::kNone, {});
    pass.largest = largest;
    pass.largest_count = tiles_;
    ParallelQuantize(kernels_, pass, hidden_codes_.view());
    kernels::IntGemm gemm;
    gemm.x = hidden_codes_.view();
    gemm.weights = weights_->down.at(call);
    gemm.out.data = y_.mutable_data_ptr();
    gemm.out.stride = shape_.width;
    ParallelGemm(kernels_, {&gemm, 1});
  }

  const at::Tensor& y() const { return y_; }

 private:
  const kernels::CpuKernels& kernels_;
  std::shared_ptr<const Weights> weights_;
  GatedMlpShape shape_;
  Rotation rotation_;
  at::Tensor rows_;
  at::Tensor rotations_;
  at::Tensor hidden_rotations_;
  kernels::BlockedBuffer codes_;
  kernels::BlockedBuffer hidden_codes_;
  at::Tensor hidden_;
  at::Tensor y_;
  int64_t tiles_ = 0;
  at::Tensor largest_;
};

struct TorchMlp {
  TorchLinear gate;
  TorchLinear up;
  TorchLinear down;
};

class GatedMlpCase : public BenchCase {
 public:
  GatedMlpCase(const GatedMlpShape& shape, const KernelBenchOptions& options)
      : shape_(shape),
        options_(options),
        kernels_(kernels::KernelsFor(kernels::CurrentIsa().isa)),
        gate_(MakeRandomWeight(shape.hidden, shape.width)),
        up_(MakeRandomWeight(shape.hidden, shape.width)),
        down_(MakeRandomWeight(shape.width, shape.hidden)),
        weights_{gate_.Float32(), up_.Float32(), down_.Float32()},
        rotations_(RotationValues(Rotation::kDense, shape.width)),
        hidden_rotations_(RotationValues(Rotation::kDense, shape.hidden)) {}

  std::vector<Contender> Contenders(int64_t rows) override {
    std::vector<Contender> contenders;
    const auto input = std::make_shared<MlpInput>(at::randn({rows, shape_.width}), weights_);
    for (const Rotation rotation : kRotations) AddOurs(rotation, input, contenders);
    for (const TorchLinearKind kind : kTorchLinears) AddTorch(kind, input, contenders);
    return contenders;
  }

 private:
  using Input = std::shared_ptr<MlpInput>;

  Contender Begin(const std::string& name, Arithmetic arithmetic, const Input& input) const {
    Contender contender;
    contender.name = name;
    contender.arithmetic = arithmetic;
    contender.operations = 3 * 2.0 * static_cast<double>(input->rows().size(0)) *
                           static_cast<double>(shape_.width) * static_cast<double>(shape_.hidden);
    return contender;
  }

  void AddOurs(Rotation rotation, const Input& input, std::vector<Contender>& contenders) {
    const std::string name = OurName(rotation);
    if (!Wanted(options_, name)) return;
    Contender contender = Begin(name, Arithmetic::kInteger, input);
    contender.missing = RotationProblem(rotation, shape_.width);
    if (contender.missing.empty()) contender.missing = RotationProblem(rotation, shape_.hidden);
    if (contender.missing.empty()) {
      if (panels_ == nullptr) {
        panels_ = std::make_shared<FusedMlp::Weights>(FusedMlp::Weights{
            {gate_, 4, 0, options_}, {up_, 4, 0, options_}, {down_, 4, 0, options_}});
      }
      contender.weight_bytes =
          static_cast<double>(panels_->gate.bytes() + panels_->up.bytes() + panels_->down.bytes());
      const auto mlp = std::make_shared<FusedMlp>(kernels_, panels_, shape_, input->rows(),
                                                  rotation, rotations_, hidden_rotations_);
      contender.run = [mlp](int64_t call) { mlp->Run(call); };
      contender.result = [mlp] { return mlp->y(); };
      contender.expected = [this, input, rotation] {
        return input->Expected(rotation, rotations_, hidden_rotations_);
      };
      contender.tolerance = kIntegerTolerance;
    }
    contenders.push_back(std::move(contender));
  }

  void AddTorch(TorchLinearKind kind, const Input& input, std::vector<Contender>& contenders) {
    const std::string name(TorchLinearName(kind));
    if (!Wanted(options_, name)) return;
    const bool wide = kind == TorchLinearKind::kFloat32;
    Contender contender = Begin(name, wide ? Arithmetic::kFloat32 : Arithmetic::kBFloat16, input);
    const auto mlp = TorchCopies(kind, input->rows().size(0));
    contender.missing = mlp->gate.missing();
    if (contender.missing.empty()) {
      contender.weight_bytes = static_cast<double>(
          mlp->gate.weight_bytes() + mlp->up.weight_bytes() + mlp->down.weight_bytes());
      const at::Tensor x = input->rows().to(TorchLinearType(kind));
      const auto y = std::make_shared<at::Tensor>();
      contender.run = [mlp, x, y](int64_t call) {
        const at::Tensor gate = Gelu(mlp->gate.Forward(x, call));
        *y = mlp->down.Forward(at::mul(gate, mlp->up.Forward(x, call)), call);
      };
      contender.result = [y] { return y->to(at::kFloat); };
      contender.expected = [input] { return input->Expected(Rotation::kNone, {}, {}); };
      contender.tolerance = wide ? kFloat32Tolerance : kBFloat16Tolerance;
    }
    contenders.push_back(std::move(contender));
  }

  std::shared_ptr<TorchMlp> TorchCopies(TorchLinearKind kind, int64_t rows) {
    std::shared_ptr<TorchMlp>& mlp = torch_[kind];
    if (mlp == nullptr || kind == TorchLinearKind::kBFloat16Prepacked) {
      mlp = std::make_shared<TorchMlp>(TorchMlp{{kind, weights_.gate, rows, options_},
                                                {kind, weights_.up, rows, options_},
                                                {kind, weights_.down, rows, options_}});
    }
    return mlp;
  }

  GatedMlpShape shape_;
  KernelBenchOptions options_;
  const kernels::CpuKernels& kernels_;
  RandomWeight gate_;
  RandomWeight up_;
  RandomWeight down_;
  FloatWeights weights_;
  at::Tensor rotations_;
  at::Tensor hidden_rotations_;
  std::shared_ptr<const FusedMlp::Weights> panels_;
  std::map<TorchLinearKind, std::shared_ptr<TorchMlp>> torch_;
};

}  // namespace

std::vector<std::string> GatedMlpContenders() {
  std::vector<std::string> names;
  for (const Rotation rotation : kRotations) names.push_back(OurName(rotation));
  for (const TorchLinearKind kind : kTorchLinears) names.emplace_back(TorchLinearName(kind));
  return names;
}

std::unique_ptr<BenchCase> MakeGatedMlpCase(const GatedMlpShape& shape,
                                            const KernelBenchOptions& options) {
  return std::make_unique<GatedMlpCase>(shape, options);
}

}  // namespace vlaserve
