#include "quant/pack/pack_arrays.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <string>

#include "kernels/panels.h"
#include "quant/pack/spellings.h"

namespace vlaserve {
namespace {

constexpr int64_t kMaxFeatures = int64_t{1} << 30;  // products of two sizes stay below 2^63

Status Error(const std::string& message) { return {StatusCode::kUnreadable, message}; }

int64_t Groups(const PackedLayer& pack) {
  return pack.group > 0 ? (pack.in_features + pack.group - 1) / pack.group : 1;
}

// One 64-byte piece of a panel has 16 features and 4 bytes of each.
std::vector<int64_t> CodesShape(const PackedLayer& pack) {
  if (pack.layout == PackLayout::kRows) {
    return {pack.out_features, (pack.in_features * pack.storage_bits + 7) / 8};
  }
  const int64_t panels = kernels::PanelCount(pack.out_features);
  const int64_t halves = kernels::kPanelColumns / 16;
  const int64_t bytes = kernels::PanelCodeBytes(pack.in_features, pack.storage_bits);
  return {panels, bytes / (halves * 64), halves, 16, 4};
}

std::vector<int64_t> ScalesShape(const PackedLayer& pack) {
  if (pack.layout == PackLayout::kRows) return {pack.out_features, Groups(pack)};
  return {kernels::PanelCount(pack.out_features), Groups(pack), kernels::kPanelColumns};
}

int64_t Elements(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

std::string LayoutName(PackLayout layout) {
  return '"' + std::string(Spelling(kPackLayoutSpellings, layout)) + '"';
}

// Elements of one square matrix per block, the last block being shorter if need be.
int64_t BlockElements(int64_t features, int64_t block) {
  const int64_t last = features % block;
  return features / block * block * block + last * last;
}

int64_t RotationElements(const PackedLayer& pack) {
  switch (pack.rotate_in) {
    case RotateIn::kOff:
    case RotateIn::kHadamard:
      return 0;
    case RotateIn::kWeightSvd:
    case RotateIn::kSvdHadamard:
      return BlockElements(pack.in_features, pack.block);
    case RotateIn::kDuquantGreedy:
      return pack.block * pack.block;
  }
  return 0;
}

Status CheckCount(std::string_view name, size_t count, int64_t expected) {
  if (static_cast<uint64_t>(expected) == count) return Status::Ok();
  return Error(std::string(name) + " has " + std::to_string(count) + " elements, expected " +
               std::to_string(expected));
}

Status CheckNumbers(const PackedLayer& pack) {
  const auto in_range = [](int64_t value, int64_t minimum, int64_t maximum) {
    return value >= minimum && value <= maximum;
  };
  if (!in_range(pack.out_features, 1, kMaxFeatures) ||
      !in_range(pack.in_features, 1, kMaxFeatures)) {
    return Error("shape " + std::to_string(pack.out_features) + " x " +
                 std::to_string(pack.in_features) + " is that of no linear");
  }
  if (!in_range(pack.weight_bits, 0, 32) || !in_range(pack.storage_bits, 0, 32) ||
      !in_range(pack.group, 0, kMaxFeatures) || !in_range(pack.block, 0, kMaxFeatures) ||
      !in_range(pack.block_out, 0, kMaxFeatures)) {
    return Error("bits, group or block is out of range");
  }
  if (pack.rotate_in != RotateIn::kOff && pack.block == 0) {
    return Error("columns are rotated in blocks of size 0");
  }
  return Status::Ok();
}

// What the kernels take for granted of codes for integer arithmetic.
Status CheckIntegerCodes(const PackedLayer& pack) {
  if (pack.weight_bits < 2 || pack.weight_bits > 8 ||
      pack.storage_bits != StorageBits(pack.weight_bits)) {
    return Error("weights of " + std::to_string(pack.weight_bits) + " bits stored in " +
                 std::to_string(pack.storage_bits) + " are no integer codes");
  }
  if (pack.layout == PackLayout::kPanels && pack.in_features > kernels::kMaxPanelDepth) {
    return Error("codes in panels have at most " + std::to_string(kernels::kMaxPanelDepth) +
                 " columns, found " + std::to_string(pack.in_features));
  }
  return Status::Ok();
}

Status CheckWeights(const PackedLayer& pack) {
  const bool quantized = pack.weight_bits > 0;
  if (quantized && pack.arithmetic == PackArithmetic::kNone) {
    return Error("arithmetic \"none\" has no weights, but weight_bits is " +
                 std::to_string(pack.weight_bits));
  }
  const PackLayout layout = LayoutOf(pack.arithmetic, pack.weight_bits, pack.zeros.empty());
  if (pack.layout != layout) {
    return Error("the layout is " + LayoutName(pack.layout) + ", expected " + LayoutName(layout));
  }
  const bool integer = pack.arithmetic == PackArithmetic::kInteger;
  if (quantized && integer) VLASERVE_RETURN_IF_ERROR(CheckIntegerCodes(pack));
  const int64_t scales = quantized && integer ? Elements(ScalesShape(pack)) : 0;
  // Weights that are not quantized may be stored as they are, in their transformed form.
  if (quantized || !pack.codes.empty()) {
    VLASERVE_RETURN_IF_ERROR(CheckCount("codes", pack.codes.size(), Elements(CodesShape(pack))));
  }
  VLASERVE_RETURN_IF_ERROR(CheckCount("scales_fp16", pack.scales_fp16.size(), scales));
  VLASERVE_RETURN_IF_ERROR(
      CheckCount("scales", pack.scales.size(), quantized && !integer ? pack.out_features : 0));
  if (pack.zeros.empty()) return Status::Ok();
  return CheckCount("zeros", pack.zeros.size(), scales);
}

Status CheckPermutation(const PackedLayer& pack) {
  if (pack.permutation.empty()) return Status::Ok();
  VLASERVE_RETURN_IF_ERROR(CheckCount("permutation", pack.permutation.size(), pack.in_features));
  std::vector<bool> seen(pack.permutation.size(), false);
  for (size_t i = 0; i < seen.size(); ++i) {
    const int32_t column = pack.permutation[i];
    if (column < 0 || column >= pack.in_features || seen[static_cast<size_t>(column)]) {
      return Error("permutation is none: element " + std::to_string(i) + " is " +
                   std::to_string(column));
    }
    seen[static_cast<size_t>(column)] = true;
  }
  return Status::Ok();
}

// Calls visit(name, dtype, span) for every array, in the order of the file.
template <typename Layer, typename Visit>
void VisitArrays(Layer& pack, const Visit& visit) {
  visit("codes", DType::kU8, pack.codes);
  visit("scales_fp16", DType::kF16, pack.scales_fp16);
  visit("scales", DType::kF32, pack.scales);
  visit("zeros", DType::kU8, pack.zeros);
  visit("smooth", DType::kF32, pack.smooth);
  visit("permutation", DType::kI32, pack.permutation);
  visit("rotations", DType::kF32, pack.rotations);
  visit("output_rotations", DType::kF32, pack.output_rotations);
}

std::vector<int64_t> ShapeOf(std::string_view name, const PackedLayer& pack, size_t count) {
  if (name == "codes") return CodesShape(pack);
  if (name == "scales_fp16" || name == "zeros") return ScalesShape(pack);
  return {static_cast<int64_t>(count)};
}

}  // namespace

std::vector<PackArray> PackArrays(const PackedLayer& pack) {
  std::vector<PackArray> arrays;
  VisitArrays(pack, [&](std::string_view name, DType dtype, auto span) {
    if (span.empty()) return;
    arrays.push_back({name, dtype, ShapeOf(name, pack, span.size()), std::as_bytes(span)});
  });
  return arrays;
}

Status SetPackArray(std::string_view name, DType dtype, std::span<const std::byte> bytes,
                    PackedLayer& pack) {
  Status status = Error("tensor \"" + std::string(name) + "\" belongs to no pack");
  VisitArrays(pack, [&](std::string_view array_name, DType array_dtype, auto& span) {
    if (array_name != name) return;
    using Element = typename std::remove_reference_t<decltype(span)>::element_type;
    if (dtype != array_dtype) {
      status = Error(std::string(name) + " has element type " + std::string(DTypeName(dtype)) +
                     ", expected " + std::string(DTypeName(array_dtype)));
      return;
    }
    span = {reinterpret_cast<Element*>(bytes.data()), bytes.size() / sizeof(Element)};
    status = Status::Ok();
  });
  return status;
}

Status CheckPackArrays(const PackedLayer& pack) {
  VLASERVE_RETURN_IF_ERROR(CheckNumbers(pack));
  VLASERVE_RETURN_IF_ERROR(CheckWeights(pack));
  if (!pack.smooth.empty()) {
    VLASERVE_RETURN_IF_ERROR(CheckCount("smooth", pack.smooth.size(), pack.in_features));
  }
  VLASERVE_RETURN_IF_ERROR(CheckPermutation(pack));
  VLASERVE_RETURN_IF_ERROR(CheckCount("rotations", pack.rotations.size(), RotationElements(pack)));
  if (pack.rotate_out == RotateOut::kOff && pack.output_rotations.empty()) return Status::Ok();
  if (pack.block_out == 0) return Error("rows are rotated in blocks of size 0");
  return CheckCount("output_rotations", pack.output_rotations.size(),
                    BlockElements(pack.out_features, pack.block_out));
}

}  // namespace vlaserve
