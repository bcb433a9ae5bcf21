#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "model/io/safetensors.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

// Elements at an odd address, as they may lie in a file.
template <typename T>
class Unaligned {
 public:
  Unaligned(DType dtype, const std::vector<T>& values) : storage_(1) {
    const auto bytes = std::as_bytes(std::span(values));
    storage_.insert(storage_.end(), bytes.begin(), bytes.end());
    view_.dtype = dtype;
    view_.shape = {static_cast<int64_t>(values.size())};
    view_.bytes = std::span<const std::byte>(storage_).subspan(1);
  }
  const TensorView& view() const { return view_; }

 private:
  std::vector<std::byte> storage_;
  TensorView view_;
};

TEST_CASE("TensorView: integers of all widths become numbers") {
  const std::vector<int64_t> expected{0, 1, -128, 127};
  CHECK(Unaligned<int8_t>(DType::kI8, {0, 1, -128, 127}).view().ToInts() == expected);
  CHECK(Unaligned<int16_t>(DType::kI16, {0, 1, -128, 127}).view().ToInts() == expected);
  CHECK(Unaligned<int32_t>(DType::kI32, {0, 1, -128, 127}).view().ToInts() == expected);
  CHECK(Unaligned<int64_t>(DType::kI64, {0, 1, -128, 127}).view().ToInts() == expected);
  CHECK(Unaligned<uint8_t>(DType::kU8, {0, 200, 255}).view().ToInts() ==
        std::vector<int64_t>{0, 200, 255});
  CHECK(Unaligned<int16_t>(DType::kI16, {-5, 300}).view().ToFloats() ==
        std::vector<float>{-5, 300});
  const int64_t large = (int64_t{1} << 53) - 1;
  CHECK(Unaligned<int64_t>(DType::kI64, {large}).view().ToDoubles() ==
        std::vector<double>{9007199254740991.0});
}

TEST_CASE("TensorView: BOOL is 0 or 1 whatever the byte") {
  const Unaligned<uint8_t> tensor(DType::kBool, {0, 1, 2, 255});
  CHECK(tensor.view().ToInts() == std::vector<int64_t>{0, 1, 1, 1});
  CHECK(tensor.view().ToFloats() == std::vector<float>{0, 1, 1, 1});
}

TEST_CASE("TensorView: floating-point types become float and double") {
  CHECK(Unaligned<uint16_t>(DType::kBF16, {0x3F80, 0xC000, 0x0001}).view().ToFloats() ==
        std::vector<float>{1, -2, std::bit_cast<float>(0x00010000u)});
  CHECK(Unaligned<uint16_t>(DType::kF16, {0x3C00, 0xC000, 0x0001}).view().ToFloats() ==
        std::vector<float>{1, -2, 0x1p-24f});
  CHECK(Unaligned<float>(DType::kF32, {1.5f, -0.1f}).view().ToDoubles() ==
        std::vector<double>{1.5, double{-0.1f}});
  CHECK(Unaligned<double>(DType::kF64, {0.1}).view().ToDoubles() == std::vector<double>{0.1});
  CHECK(Unaligned<double>(DType::kF64, {0.1}).view().ToFloats() == std::vector<float>{0.1f});
}

TEST_CASE("TensorView: ToInts truncates and saturates") {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const Unaligned<double> tensor(
      DType::kF64, {1.9, -1.9, 0x1p63, -0x1p63, 1e300, -kInfinity, kInfinity, std::nan("")});
  CHECK(tensor.view().ToInts() == std::vector<int64_t>{1, -1, kMax, kMin, kMax, kMin, kMax, 0});
}

TEST_CASE("TensorView: number of elements") {
  CHECK(Unaligned<float>(DType::kF32, {}).view().numel() == 0);
  CHECK(Unaligned<float>(DType::kF32, {1, 2, 3}).view().numel() == 3);
}

TEST_CASE("ShapeToString: as in Python") {
  CHECK(ShapeToString({}) == "[]");
  const std::vector<int64_t> shape{2, 3};
  CHECK(ShapeToString(shape) == "[2, 3]");
}

}  // namespace
}  // namespace vlaserve
