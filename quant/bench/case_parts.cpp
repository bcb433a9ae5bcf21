#include "quant/bench/case_parts.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include <unistd.h>

#include <ATen/ops/empty.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>

#include "kernels/quantize.h"
#include "kernels/transform.h"

namespace vlaserve {
namespace {

// Of the machine, in bytes.
int64_t AvailableMemory() {
  const long pages = sysconf(_SC_AVPHYS_PAGES);
  const long page = sysconf(_SC_PAGESIZE);
  return pages <= 0 || page <= 0 ? 0 : static_cast<int64_t>(pages) * page;
}

std::span<const float> Values(const at::Tensor& tensor) {
  return {tensor.const_data_ptr<float>(), static_cast<size_t>(tensor.numel())};
}

}  // namespace

bool Wanted(const KernelBenchOptions& options, std::string_view name) {
  return options.contenders.empty() ||
         std::any_of(options.contenders.begin(), options.contenders.end(),
                     [&](const std::string& wanted) { return name.starts_with(wanted); });
}

int64_t CopyCount(const KernelBenchOptions& options, int64_t bytes) {
  const int64_t total = std::min(options.stream_bytes, AvailableMemory() / 16);
  return std::max<int64_t>(1, (total + bytes - 1) / bytes);
}

std::vector<at::Tensor> Copies(const at::Tensor& tensor, int64_t count) {
  std::vector<at::Tensor> copies = {tensor};
  while (static_cast<int64_t>(copies.size()) < count) copies.push_back(tensor.clone());
  return copies;
}

at::Tensor RandomWeight::Float32() const { return codes.to(at::kFloat).mul_(scales.unsqueeze(1)); }

RandomWeight MakeRandomWeight(int64_t out_features, int64_t in_features) {
  constexpr double kCodeVariance = 56.0 / 3;  // of whole numbers -7 … 7
  const double scale = 1 / std::sqrt(kCodeVariance * static_cast<double>(in_features));
  return {at::randint(-7, 8, {out_features, in_features}, at::kChar),
          at::rand({out_features}).add_(0.5).mul_(scale).to(at::kHalf).to(at::kFloat)};
}

PanelCopies::PanelCopies(const RandomWeight& weight, int64_t bits, int64_t group,
                         const KernelBenchOptions& options) {
  const int64_t out_features = weight.codes.size(0);
  const int64_t in_features = weight.codes.size(1);
  const int64_t panels = kernels::PanelCount(out_features);
  const int64_t groups = GroupCount(in_features, group);
  const at::Tensor codes = bits == 8 ? weight.codes.mul(16) : weight.codes;
  const at::Tensor scales = (bits == 8 ? weight.scales.div(16) : weight.scales)
                                .to(at::kHalf)
                                .unsqueeze(1)
                                .expand({out_features, groups})
                                .contiguous();
  const at::Tensor panel_codes =
      at::empty({panels * kernels::PanelCodeBytes(in_features, bits)}, at::kByte);
  const at::Tensor panel_scales = at::empty({panels * groups * kernels::kPanelColumns}, at::kHalf);
  kernels::PackPanels(codes.const_data_ptr<int8_t>(), out_features, in_features, bits,
                      panel_codes.mutable_data_ptr<uint8_t>());
  kernels::PackPanelScales(static_cast<const uint16_t*>(scales.const_data_ptr()), out_features,
                           groups, static_cast<uint16_t*>(panel_scales.mutable_data_ptr()));
  bytes_ = static_cast<int64_t>(panel_codes.nbytes() + panel_scales.nbytes());
  const int64_t count = CopyCount(options, bytes_);
  for (const at::Tensor& copy : Copies(panel_codes, count)) {
    memory_.push_back(copy);
    memory_.push_back(panel_scales.clone());
    views_.push_back({out_features, in_features, bits, group, copy.const_data_ptr<uint8_t>(),
                      static_cast<const uint16_t*>(memory_.back().const_data_ptr())});
  }
}

std::string_view RotationSuffix(Rotation rotation) {
  switch (rotation) {
    case Rotation::kNone:
      return "+quantize";
    case Rotation::kHadamard:
      return "+hadamard64";
    case Rotation::kDense:
      return "+dense64";
  }
  return "";
}

std::string RotationProblem(Rotation rotation, int64_t columns) {
  if (rotation != Rotation::kHadamard || columns % kRotationBlock == 0) return "";
  return "blocks of " + std::to_string(kRotationBlock) + " do not divide " +
         std::to_string(columns) + " columns";
}

at::Tensor RotationValues(Rotation rotation, int64_t columns) {
  if (rotation != Rotation::kDense) return {};
  const int64_t whole = columns / kRotationBlock;
  const int64_t rest = columns % kRotationBlock;
  at::Tensor values = at::empty({whole * kRotationBlock * kRotationBlock + rest * rest});
  if (whole > 0) {
    values.narrow(0, 0, whole * kRotationBlock * kRotationBlock)
        .copy_(std::get<0>(at::linalg_qr(at::randn({whole, kRotationBlock, kRotationBlock})))
                   .reshape({-1}));
  }
  if (rest > 0) {
    values.narrow(0, whole * kRotationBlock * kRotationBlock, rest * rest)
        .copy_(std::get<0>(at::linalg_qr(at::randn({rest, rest}))).reshape({-1}));
  }
  return values;
}

at::Tensor Rotated(const at::Tensor& rows, Rotation rotation, const at::Tensor& values) {
  if (rotation == Rotation::kNone) return rows;
  at::Tensor rotated = rows.clone();
  if (rotation == Rotation::kHadamard) {
    HadamardRows(rotated.mutable_data_ptr<float>(), rows.size(0), rows.size(1), kRotationBlock);
  } else {
    RotateRows(rows.const_data_ptr<float>(), rotated.mutable_data_ptr<float>(), rows.size(0),
               rows.size(1), kRotationBlock, Values(values), /*shared=*/false);
  }
  return rotated;
}

kernels::ActivationPass PassOf(const at::Tensor& rows, Rotation rotation,
                               const at::Tensor& values) {
  kernels::ActivationPass pass;
  pass.x = rows.const_data_ptr();
  pass.stride = rows.size(1);
  if (rotation != Rotation::kNone) pass.block = kRotationBlock;
  if (rotation == Rotation::kDense) pass.rotations = values.const_data_ptr<float>();
  return pass;
}

double RelativeError(const at::Tensor& y, const at::Tensor& expected) {
  const double size = expected.norm(2, at::kDouble).item<double>();
  const double difference = y.sub(expected).norm(2, at::kDouble).item<double>();
  const double error = difference / size;
  return std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
}

}  // namespace vlaserve
