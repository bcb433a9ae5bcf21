#include "kernels/quantize.h"

namespace vlaserve {

void PackNibbles(const int8_t* codes, int64_t rows, int64_t columns, uint8_t* packed) {
  const int64_t bytes = (columns + 1) / 2;
  for (int64_t r = 0; r < rows; ++r) {
    const int8_t* const in = codes + r * columns;
    uint8_t* const out = packed + r * bytes;
    for (int64_t i = 0; i < columns / 2; ++i) {
      const int low = in[2 * i] & 0xF;
      const int high = in[2 * i + 1] & 0xF;
      out[i] = static_cast<uint8_t>(high << 4 | low);
    }
    if (columns % 2 != 0) out[bytes - 1] = static_cast<uint8_t>(in[columns - 1] & 0xF);
  }
}

void UnpackNibbles(const uint8_t* packed, int64_t rows, int64_t columns, int8_t* codes) {
  const int64_t bytes = (columns + 1) / 2;
  for (int64_t r = 0; r < rows; ++r) {
    const uint8_t* const in = packed + r * bytes;
    int8_t* const out = codes + r * columns;
    // (n ^ 8) - 8 sign-extends a nibble.
    for (int64_t i = 0; i < columns / 2; ++i) {
      out[2 * i] = static_cast<int8_t>(((in[i] & 0xF) ^ 8) - 8);
      out[2 * i + 1] = static_cast<int8_t>(((in[i] >> 4) ^ 8) - 8);
    }
    if (columns % 2 != 0) out[columns - 1] = static_cast<int8_t>(((in[bytes - 1] & 0xF) ^ 8) - 8);
  }
}

}  // namespace vlaserve
