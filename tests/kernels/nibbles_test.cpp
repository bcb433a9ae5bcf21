#include <cstdint>
#include <vector>

#include "kernels/quantize.h"
#include "tests/kernels/random_values.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

TEST_CASE("even columns are low nibbles, odd ones high, padding is 0") {
  const std::vector<int8_t> codes = {-8, 7, 3, -1, 0, 5};
  std::vector<uint8_t> packed(4, 0xFF);
  PackNibbles(codes.data(), 2, 3, packed.data());
  CHECK(packed == std::vector<uint8_t>{0x78, 0x03, 0x0F, 0x05});
}

TEST_CASE("nibbles of all widths come back") {
  for (const int64_t columns : {1, 2, 7, 64, 129}) {
    const std::vector<int8_t> codes = RandomCodes(7, 5 * columns, -8, 7);
    std::vector<uint8_t> packed(static_cast<size_t>(5 * ((columns + 1) / 2)));
    PackNibbles(codes.data(), 5, columns, packed.data());
    std::vector<int8_t> unpacked(codes.size());
    UnpackNibbles(packed.data(), 5, columns, unpacked.data());
    CHECK(unpacked == codes);
  }
}

}  // namespace
}  // namespace vlaserve
