#include "tests/kernels/gemm_problem.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <sstream>

#include "kernels/cpu/gelu.h"
#include "kernels/cpu/vector_portable.h"
#include "kernels/transform.h"
#include "tests/kernels/random_values.h"

namespace vlaserve {
namespace {

using kernels::ElementType;

constexpr uint32_t kNan = 0x7FC00000u;
constexpr uint32_t kUntouched = 0xA5A5A5A5u;  // GuardedArray

uint32_t Bits(float value) { return std::isnan(value) ? kNan : std::bit_cast<uint32_t>(value); }

// Rounds to the nearest value whose lower 16 bits are 0, half to even.
float RoundToBFloat16(float value) {
  if (!std::isfinite(value)) return value;
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t below = bits & 0xFFFF0000u;
  const uint32_t rest = bits & 0xFFFFu;
  const bool up = rest > 0x8000u || (rest == 0x8000u && (below & 0x10000u) != 0);
  return std::bit_cast<float>(up ? below + 0x10000u : below);
}

float RoundTo(ElementType type, float value) {
  return type == ElementType::kBFloat16 ? RoundToBFloat16(value) : value;
}

// An array of either element type in guarded memory.
class Elements {
 public:
  Elements(ElementType type, int64_t size, Guard guard)
      : type_(type),
        floats_(type == ElementType::kFloat32 ? size : 0, guard),
        halves_(type == ElementType::kFloat32 ? 0 : size, guard) {}

  void* data() {
    return type_ == ElementType::kFloat32 ? static_cast<void*>(floats_.data()) : halves_.data();
  }
  void Set(int64_t i, float value) {
    if (type_ == ElementType::kFloat32) {
      floats_[At(i)] = value;
    } else {
      halves_[At(i)] = static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
    }
  }
  // As float32 bits; untouched elements are kUntouched.
  uint32_t Get(int64_t i) {
    const uint32_t bits = type_ == ElementType::kFloat32 ? std::bit_cast<uint32_t>(floats_[At(i)])
                                                         : uint32_t{halves_[At(i)]} << 16;
    if (bits == (type_ == ElementType::kFloat32 ? kUntouched : kUntouched << 16)) {
      return kUntouched;
    }
    return Bits(std::bit_cast<float>(bits));
  }

 private:
  ElementType type_;
  GuardedArray<float> floats_;
  GuardedArray<uint16_t> halves_;
};

// Calls run(begin, end, begin, end) for every piece, the last first.
void ForPieces(Pieces pieces, int64_t panels, int64_t blocks,
               const std::function<void(int64_t, int64_t, int64_t, int64_t)>& run) {
  for (int64_t p = pieces.panels - 1; p >= 0; --p) {
    for (int64_t b = pieces.blocks - 1; b >= 0; --b) {
      run(panels * p / pieces.panels, panels * (p + 1) / pieces.panels, blocks * b / pieces.blocks,
          blocks * (b + 1) / pieces.blocks);
    }
  }
}

std::ostream& operator<<(std::ostream& out, const LayerShape& shape) {
  return out << "M " << shape.rows << " N " << shape.out_features << " K " << shape.in_features
             << " bits " << shape.bits << " weight group " << shape.weight_group
             << " activation group " << shape.activation_group;
}

}  // namespace

int64_t FirstDifference(const std::vector<uint32_t>& a, const std::vector<uint32_t>& b) {
  const auto [in_a, in_b] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return in_a == a.end() && in_b == b.end() ? -1 : in_a - a.begin();
}

std::string Describe(const GemmSpec& spec) {
  std::ostringstream out;
  out << spec.shape << (spec.type == ElementType::kFloat32 ? " float32" : " bfloat16")
      << (spec.bias ? " bias" : "") << " residual " << static_cast<int>(spec.residual)
      << " rows per gate " << spec.rows_per_gate << (spec.in_place ? " in place" : "") << " gap "
      << spec.gap << (spec.codes == Codes::kExtreme ? " extreme" : "") << " seed " << spec.seed;
  return out.str();
}

GemmProblem::GemmProblem(const GemmSpec& spec)
    : spec_(spec),
      weights_(spec.shape, spec.codes, spec.seed),
      x_(MakeActivations(spec.shape, spec.codes, spec.seed + 10)) {
  const int64_t features = spec.shape.out_features;
  residual_ = RandomFloats(spec.seed + 20, spec.shape.rows * features);
  gate_ = RandomFloats(spec.seed + 21, spec.shape.rows / spec.rows_per_gate * features);
  for (float& value : residual_) value = RoundToBFloat16(value);
  for (float& value : gate_) value = RoundToBFloat16(value);
}

std::vector<uint32_t> GemmProblem::Reference() const {
  const int64_t rows = spec_.shape.rows;
  const int64_t features = spec_.shape.out_features;
  const std::vector<float> y = weights_.Linear(x_, spec_.bias);
  std::vector<uint32_t> bits(At(rows * (features + spec_.gap)), kUntouched);
  for (int64_t m = 0; m < rows; ++m) {
    for (int64_t n = 0; n < features; ++n) {
      float value = y[At(m * features + n)];
      const float residual = residual_[At(m * features + n)];
      if (spec_.residual == Residual::kPlain) value = residual + value;
      if (spec_.residual == Residual::kGated) {
        value = std::fma(value, gate_[At(m / spec_.rows_per_gate * features + n)], residual);
      }
      bits[At(m * (features + spec_.gap) + n)] = Bits(RoundTo(spec_.type, value));
    }
  }
  return bits;
}

std::vector<uint32_t> GemmProblem::Run(const kernels::CpuKernels& cpu, Guard guard,
                                       Pieces pieces) const {
  const LayerShape& shape = spec_.shape;
  const int64_t stride = shape.out_features + spec_.gap;
  // Nothing lies behind the last row.
  const int64_t size = shape.rows * stride - spec_.gap;
  const int64_t step =
      kernels::StepColumns(shape.in_features, shape.weight_group, shape.activation_group);
  const GuardedActivations x(x_, step, cpu.max_rows, guard);
  const GuardedWeights weights(weights_, guard);
  Elements out(spec_.type, size, guard);
  Elements residual(spec_.type, shape.rows * shape.out_features, guard);
  Elements gate(spec_.type, static_cast<int64_t>(gate_.size()), guard);
  for (int64_t i = 0; i < shape.rows * shape.out_features; ++i) {
    residual.Set(i, residual_[At(i)]);
    if (spec_.in_place) {
      out.Set(i / shape.out_features * stride + i % shape.out_features, residual_[At(i)]);
    }
  }
  for (size_t i = 0; i < gate_.size(); ++i) gate.Set(static_cast<int64_t>(i), gate_[i]);

  kernels::IntGemm problem;
  problem.x = x.view();
  problem.weights = weights.view();
  problem.out.data = out.data();
  problem.out.type = spec_.type;
  problem.out.stride = stride;
  problem.out.bias = spec_.bias ? weights.bias() : nullptr;
  if (spec_.residual != Residual::kNone) {
    problem.out.residual = spec_.in_place ? out.data() : residual.data();
    problem.out.residual_stride = spec_.in_place ? stride : shape.out_features;
  }
  if (spec_.residual == Residual::kGated) {
    problem.out.gate = gate.data();
    problem.out.rows_per_gate = spec_.rows_per_gate;
  }
  ForPieces(pieces, kernels::PanelCount(shape.out_features), problem.x.blocks().count(),
            [&](int64_t panel_begin, int64_t panel_end, int64_t block_begin, int64_t block_end) {
              cpu.gemm(problem, panel_begin, panel_end, block_begin, block_end);
            });
  std::vector<uint32_t> bits(At(shape.rows * stride), kUntouched);
  for (int64_t i = 0; i < size; ++i) bits[At(i)] = out.Get(i);
  return bits;
}

std::string Describe(const GatedSpec& spec) {
  std::ostringstream out;
  out << spec.shape << (spec.bias ? " bias" : "") << (spec.smooth ? " smooth" : "") << " block "
      << spec.block << (spec.dense ? " dense" : "") << (spec.shared ? " shared" : "")
      << (spec.codes == Codes::kExtreme ? " extreme" : "") << " seed " << spec.seed;
  return out.str();
}

GatedProblem::GatedProblem(const GatedSpec& spec)
    : spec_(spec),
      gate_(spec.shape, spec.codes, spec.seed),
      up_(spec.shape, spec.codes, spec.seed + 10),
      x_(MakeActivations(spec.shape, spec.codes, spec.seed + 20)),
      smooth_(RandomFloats(spec.seed + 30, spec.shape.out_features)) {
  const int64_t features = spec.shape.out_features;
  int64_t values = 0;
  for (int64_t begin = 0; begin < features; begin += spec.block) {
    const int64_t size = std::min(spec.block, features - begin);
    if (!spec.shared || begin == 0) values += size * size;
  }
  rotations_ = RandomFloats(spec.seed + 31, values);
}

GatedResult GatedProblem::Reference() const {
  using kernels::portable::Floats;
  const int64_t rows = spec_.shape.rows;
  const int64_t features = spec_.shape.out_features;
  const std::vector<float> gate = gate_.Linear(x_, spec_.bias);
  std::vector<float> hidden = up_.Linear(x_, spec_.bias);
  for (size_t i = 0; i < hidden.size(); ++i) {
    hidden[i] = kernels::Gelu(Floats::All(gate[i])).lane[0] * hidden[i];
  }
  if (spec_.smooth) ScaleColumns(hidden.data(), rows, features, smooth_);
  if (spec_.block > 1 && spec_.dense) {
    const std::vector<float> before = hidden;
    RotateRows(before.data(), hidden.data(), rows, features, spec_.block, rotations_, spec_.shared);
  } else if (spec_.block > 1) {
    HadamardRows(hidden.data(), rows, features, spec_.block);
  }
  GatedResult result;
  const int64_t tile = kernels::GatedTileColumns(spec_.block);
  const int64_t tiles = (features + tile - 1) / tile;
  result.largest.assign(At(rows * tiles), 0);
  for (int64_t i = 0; i < rows * features; ++i) {
    const float value = hidden[At(i)];
    uint32_t& largest = result.largest[At(i / features * tiles + i % features / tile)];
    const uint32_t bits = std::bit_cast<uint32_t>(value) & 0x7FFFFFFFu;
    largest = std::max(largest, std::min(bits, 0x7F800000u));
    result.hidden.push_back(Bits(value));
  }
  return result;
}

GatedResult GatedProblem::Run(const kernels::CpuKernels& cpu, Guard guard, Pieces pieces) const {
  const LayerShape& shape = spec_.shape;
  const int64_t step =
      kernels::StepColumns(shape.in_features, shape.weight_group, shape.activation_group);
  const int64_t tile = kernels::GatedTileColumns(spec_.block);
  const int64_t tiles = (shape.out_features + tile - 1) / tile;
  const GuardedActivations x(x_, step, cpu.max_rows, guard);
  const GuardedWeights gate(gate_, guard);
  const GuardedWeights up(up_, guard);
  GuardedArray<float> smooth(shape.out_features, guard);
  GuardedArray<float> rotations(static_cast<int64_t>(rotations_.size()), guard);
  GuardedArray<float> hidden(shape.rows * shape.out_features, guard);
  GuardedArray<uint32_t> largest(shape.rows * tiles, guard);
  std::copy(smooth_.begin(), smooth_.end(), smooth.data());
  std::copy(rotations_.begin(), rotations_.end(), rotations.data());

  kernels::GatedHidden problem;
  problem.x = x.view();
  problem.gate = gate.view();
  problem.up = up.view();
  problem.gate_bias = spec_.bias ? gate.bias() : nullptr;
  problem.up_bias = spec_.bias ? up.bias() : nullptr;
  problem.inverse_smooth = spec_.smooth ? smooth.data() : nullptr;
  problem.block = spec_.block;
  problem.rotations = spec_.dense ? rotations.data() : nullptr;
  problem.shared_rotation = spec_.shared;
  problem.hidden = hidden.data();
  problem.largest = largest.data();
  ForPieces(pieces, tiles, problem.x.blocks().count(),
            [&](int64_t tile_begin, int64_t tile_end, int64_t block_begin, int64_t block_end) {
              cpu.gated_hidden(problem, tile_begin, tile_end, block_begin, block_end);
            });
  GatedResult result;
  for (size_t i = 0; i < hidden.size(); ++i) result.hidden.push_back(Bits(hidden[i]));
  for (size_t i = 0; i < largest.size(); ++i) {
    result.largest.push_back(std::min(largest[i], 0x7F800000u));
  }
  return result;
}

}  // namespace vlaserve
