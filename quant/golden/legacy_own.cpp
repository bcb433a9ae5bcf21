#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

#include "quant/engine/legacy_engine.h"
#include "quant/engine/transforms_only_engine.h"
#include "quant/golden/legacy_checks.h"
#include "quant/pack/legacy_packer.h"

namespace vlaserve {
namespace {

// Limits of the README.
constexpr double kOrthogonality = 1e-5;
constexpr double kDiagonality = 1e-4;  // of the largest squared singular value
constexpr double kTransformsOnly = 1e-5;

at::Tensor Matrix(const float* values, int64_t size) {
  return at::from_blob(const_cast<float*>(values), {size, size}, at::TensorOptions(at::kFloat))
      .to(at::kDouble);
}

// One rotation against X [B, n], whose left singular vectors it should hold. `reference`: the
// reference's rotation of the same block; undefined: of another one.
void CompareRotation(const std::string& what, const at::Tensor& rotation, const at::Tensor& x,
                     const at::Tensor& reference, CaseComparison& compare) {
  const int64_t size = rotation.size(0);
  const at::Tensor identity = at::eye(size, at::kDouble);
  const double skew =
      at::amax(at::abs(at::matmul(rotation.t(), rotation) - identity)).item<double>();
  compare.Condition(what, skew <= kOrthogonality, "RᵀR differs from I by " + std::to_string(skew));

  const at::Tensor gram = at::matmul(x, x.t());
  const at::Tensor energies = at::matmul(at::matmul(rotation.t(), gram), rotation);
  const at::Tensor squares = at::diagonal(energies);
  const double limit = kDiagonality * at::amax(squares).item<double>();
  const double off = at::amax(at::abs(energies - at::diag(squares))).item<double>();
  compare.Condition(what, off <= limit, "RᵀXXᵀR is not diagonal: " + std::to_string(off));
  if (size > 1) {
    const double rise =
        at::amax(squares.narrow(0, 1, size - 1) - squares.narrow(0, 0, size - 1)).item<double>();
    compare.Condition(what, rise <= limit, "singular values rise by " + std::to_string(rise));
  }
  if (!reference.defined()) return;
  const at::Tensor expected = at::matmul(at::matmul(reference.t(), gram), reference);
  const at::Tensor expected_squares = at::diagonal(expected);
  // A pack made by hand holds no singular vectors.
  if (at::amax(at::abs(expected - at::diag(expected_squares))).item<double>() > limit) return;
  const double other = at::amax(at::abs(squares - expected_squares)).item<double>();
  compare.Condition(
      what, other <= limit,
      "squared singular values differ by " + std::to_string(other) + " from the reference's");
}

// All blocks of a pack. `rows`: X of all blocks, [width, n] in the order of the permutation.
// `reference`: empty if its blocks are others.
void CompareRotations(const std::string& what, std::span<const float> rotations,
                      const at::Tensor& rows, int64_t block,
                      const std::vector<std::vector<float>>& reference, CaseComparison& compare) {
  const float* values = rotations.data();
  size_t index = 0;
  for (int64_t start = 0; start < rows.size(0); start += block, ++index) {
    const int64_t size = std::min(block, rows.size(0) - start);
    const bool comparable = index < reference.size() && std::ssize(reference[index]) == size * size;
    CompareRotation(what + " " + std::to_string(index), Matrix(values, size),
                    rows.narrow(0, start, size),
                    comparable ? Matrix(reference[index].data(), size) : at::Tensor(), compare);
    values += size * size;
  }
}

at::Tensor FloatLayer(const LegacyCase& golden, const at::Tensor& x) {
  at::Tensor y = at::matmul(x.to(at::kDouble), golden.WeightTensor().to(at::kDouble).t());
  if (golden.bias().defined()) y = y + golden.bias().to(at::kDouble);
  return y;
}

EngineInputs InputsFor(const LegacyCase& golden, const PackRequest& request, PackedLayer pack) {
  EngineInputs inputs;
  inputs.name = golden.id();
  inputs.pack = std::move(pack);
  inputs.settings = request.settings;
  inputs.compat_bugs = request.compat_bugs;
  inputs.bias = golden.bias();
  inputs.compute_dtype = golden.dtype();
  return inputs;
}

Status CompareTransformsOnly(const LegacyCase& golden, const PackRequest& request,
                             const PackedLayer& pack, CaseComparison& compare) {
  EngineInputs inputs = InputsFor(golden, request, pack);
  inputs.weight = golden.WeightTensor();
  VLASERVE_ASSIGN_OR_RETURN(const auto engine, MakeTransformsOnlyEngine(std::move(inputs)));
  for (size_t i = 0; i < golden.inputs().size(); ++i) {
    const at::Tensor x = golden.inputs()[i].to(at::kFloat);
    if (!at::isfinite(x).all().item<bool>()) continue;
    std::string name = "transforms_only y";
    name += std::to_string(i);
    compare.Within(name, kTransformsOnly, engine->Forward(x), FloatLayer(golden, x));
  }
  return Status::Ok();
}

// Our error over all outputs by the reference's.
Result<double> NmseRatio(LegacyCase& golden, const PackRequest& request, const PackedLayer& pack) {
  VLASERVE_ASSIGN_OR_RETURN(const auto engine, MakeLegacyEngine(InputsFor(golden, request, pack)));
  double ours = 0;
  double theirs = 0;
  for (size_t i = 0; i < golden.inputs().size(); ++i) {
    const at::Tensor& x = golden.inputs()[i];
    const at::Tensor y = engine->Forward(x);
    std::string name = "y";
    name += std::to_string(i);
    const at::Tensor expected = golden.Find(name);
    if (!expected.defined()) continue;
    const at::Tensor exact = FloatLayer(golden, x);
    ours += at::sum(at::square(y.to(at::kDouble) - exact)).item<double>();
    theirs += at::sum(at::square(expected.to(at::kDouble) - exact)).item<double>();
  }
  return ours / theirs;
}

}  // namespace

Result<OwnTransformsResult> CompareWithOwnTransforms(LegacyCase& golden, bool same_permutation,
                                                     CaseComparison& compare) {
  const PackRequest request = golden.Request(/*import=*/false);
  const int64_t bits = request.settings.weight.bits;
  VLASERVE_ASSIGN_OR_RETURN(PackContents contents, BuildLegacyPack(request));
  const PackedLayer pack = ViewOf(std::move(contents));
  const NpzPack& npz = golden.npz();
  const bool permuted = !pack.permutation.empty();
  // A stale pack is one of other settings.
  const bool same_blocks = npz.block == pack.block && npz.permutation.empty() == !permuted;
  if (permuted && same_permutation && same_blocks) {
    compare.Condition("permutation", std::ranges::equal(pack.permutation, npz.permutation),
                      "differs from the reference's");
  }
  at::Tensor columns = golden.WeightTensor().to(at::kDouble).t();
  if (permuted) {
    columns = at::index_select(columns, 0,
                               at::from_blob(const_cast<int32_t*>(pack.permutation.data()),
                                             {pack.in_features}, at::TensorOptions(at::kInt)));
  }
  const bool same_columns = same_blocks && (!permuted || same_permutation);
  CompareRotations("R_in", pack.rotations, columns, pack.block,
                   same_columns ? npz.rotations : std::vector<std::vector<float>>(), compare);
  if (pack.rotate_out != RotateOut::kOff) {
    CompareRotations(
        "R_out", pack.output_rotations, golden.WeightTensor().to(at::kDouble), pack.block_out,
        npz.block_out == pack.block_out ? npz.output_rotations : std::vector<std::vector<float>>(),
        compare);
  }
  if (!golden.bf16() && pack.rotate_out != RotateOut::kPropagate) {
    VLASERVE_RETURN_IF_ERROR(CompareTransformsOnly(golden, request, pack, compare));
  }

  OwnTransformsResult result{golden.id(), bits == 4, 1};
  if (!golden.transforms_only()) {
    VLASERVE_ASSIGN_OR_RETURN(result.nmse_ratio, NmseRatio(golden, request, pack));
  }
  return result;
}

}  // namespace vlaserve
