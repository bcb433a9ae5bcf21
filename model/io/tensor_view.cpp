#include <cstring>
#include <limits>
#include <type_traits>

#include "model/io/safetensors.h"

namespace vlaserve {
namespace {

template <typename T>
T Load(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));  // tensors in a file are not necessarily aligned
  return value;
}

template <typename To, typename From>
To Convert(From value) {
  if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    // 2^63 is exact in float and double; the first value that no longer fits.
    constexpr From kEnd = static_cast<From>(0x1p63);
    if (value >= kEnd) return std::numeric_limits<To>::max();
    if (value < -kEnd) return std::numeric_limits<To>::min();
    if (value != value) return 0;
  }
  return static_cast<To>(value);
}

// Calls `decode` on the place of every element.
template <typename To, typename Decode>
std::vector<To> ConvertAll(const TensorView& tensor, Decode decode) {
  const size_t step = DTypeSize(tensor.dtype);
  std::vector<To> values(tensor.bytes.size() / step);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = Convert<To>(decode(tensor.bytes.data() + i * step));
  }
  return values;
}

template <typename To>
std::vector<To> Values(const TensorView& tensor) {
  switch (tensor.dtype) {
    case DType::kBool:
      return ConvertAll<To>(tensor, [](const std::byte* p) { return uint8_t{*p != std::byte{0}}; });
    case DType::kU8:
      return ConvertAll<To>(tensor, Load<uint8_t>);
    case DType::kI8:
      return ConvertAll<To>(tensor, Load<int8_t>);
    case DType::kI16:
      return ConvertAll<To>(tensor, Load<int16_t>);
    case DType::kI32:
      return ConvertAll<To>(tensor, Load<int32_t>);
    case DType::kI64:
      return ConvertAll<To>(tensor, Load<int64_t>);
    case DType::kF16:
      return ConvertAll<To>(tensor,
                            [](const std::byte* p) { return F16ToFloat(Load<uint16_t>(p)); });
    case DType::kBF16:
      return ConvertAll<To>(tensor,
                            [](const std::byte* p) { return Bf16ToFloat(Load<uint16_t>(p)); });
    case DType::kF32:
      return ConvertAll<To>(tensor, Load<float>);
    case DType::kF64:
      return ConvertAll<To>(tensor, Load<double>);
  }
  return {};
}

}  // namespace

int64_t TensorView::numel() const { return static_cast<int64_t>(bytes.size() / DTypeSize(dtype)); }

std::vector<float> TensorView::ToFloats() const { return Values<float>(*this); }
std::vector<double> TensorView::ToDoubles() const { return Values<double>(*this); }
std::vector<int64_t> TensorView::ToInts() const { return Values<int64_t>(*this); }

std::string ShapeToString(std::span<const int64_t> shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

}  // namespace vlaserve
