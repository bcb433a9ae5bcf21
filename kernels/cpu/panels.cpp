#include "kernels/panels.h"

#include <algorithm>
#include <cstring>

namespace vlaserve::kernels {
namespace {

// Within a panel: where feature c's inputs k, k + 1, k + 2, k + 3 (k a multiple of 4) lie, and by
// how much they are shifted there.
struct Quad {
  int64_t byte = 0;
  int shift = 0;
};

Quad QuadOf(int64_t c, int64_t k, int64_t bits) {
  const int64_t half = c / 16;
  const int64_t in_piece = 4 * (c % 16);
  if (bits == 4) return {(k / 8 * 2 + half) * 64 + in_piece, k % 8 == 0 ? 0 : 4};
  return {(k / 4 * 2 + half) * 64 + in_piece, 0};
}

}  // namespace

void PackPanels(const int8_t* codes, int64_t out_features, int64_t in_features, int64_t bits,
                uint8_t* panels) {
  const int32_t bias = CodeBias(bits);
  const int64_t depth = PaddedDepth(in_features);
  const int64_t bytes = PanelCodeBytes(in_features, bits);
  std::memset(panels, 0, static_cast<size_t>(PanelCount(out_features) * bytes));
  for (int64_t n = 0; n < PanelCount(out_features) * kPanelColumns; ++n) {
    uint8_t* const panel = panels + n / kPanelColumns * bytes;
    const int64_t filled = n < out_features ? in_features : 0;
    const int8_t* const row = codes + (n < out_features ? n * in_features : 0);
    for (int64_t k = 0; k < depth; k += 4) {
      const Quad quad = QuadOf(n % kPanelColumns, k, bits);
      for (int64_t j = 0; j < 4; ++j) {
        const int32_t code = k + j < filled ? row[k + j] : 0;
        panel[quad.byte + j] |= static_cast<uint8_t>((code + bias) << quad.shift);
      }
    }
  }
}

void UnpackPanelRow(const uint8_t* panels, int64_t in_features, int64_t bits, int64_t n,
                    int8_t* codes) {
  const int32_t bias = CodeBias(bits);
  const int32_t mask = bits == 4 ? 0xF : 0xFF;
  const uint8_t* const panel = panels + n / kPanelColumns * PanelCodeBytes(in_features, bits);
  for (int64_t k = 0; k < in_features; k += 4) {
    const Quad quad = QuadOf(n % kPanelColumns, k, bits);
    for (int64_t j = 0; j < std::min<int64_t>(4, in_features - k); ++j) {
      const int32_t code = (panel[quad.byte + j] >> quad.shift) & mask;
      codes[k + j] = static_cast<int8_t>(code - bias);
    }
  }
}

void UnpackPanels(const uint8_t* panels, int64_t out_features, int64_t in_features, int64_t bits,
                  int8_t* codes) {
  for (int64_t n = 0; n < out_features; ++n) {
    UnpackPanelRow(panels, in_features, bits, n, codes + n * in_features);
  }
}

void PackPanelScales(const uint16_t* scales, int64_t out_features, int64_t groups,
                     uint16_t* panels) {
  for (int64_t n = 0; n < PanelCount(out_features) * kPanelColumns; ++n) {
    uint16_t* const panel = panels + n / kPanelColumns * groups * kPanelColumns;
    for (int64_t g = 0; g < groups; ++g) {
      panel[g * kPanelColumns + n % kPanelColumns] =
          n < out_features ? scales[n * groups + g] : uint16_t{0};
    }
  }
}

void UnpackPanelScales(const uint16_t* panels, int64_t out_features, int64_t groups,
                       uint16_t* scales) {
  for (int64_t n = 0; n < out_features; ++n) {
    const uint16_t* const panel = panels + n / kPanelColumns * groups * kPanelColumns;
    for (int64_t g = 0; g < groups; ++g) {
      scales[n * groups + g] = panel[g * kPanelColumns + n % kPanelColumns];
    }
  }
}

}  // namespace vlaserve::kernels
