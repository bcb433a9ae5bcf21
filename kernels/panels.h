// Weight codes and scales in panels: the one layout in which packs lie on disk and every back end
// of the CPU reads them, mapped as they are.
//
// A panel is kPanelColumns output features over all input features. N is filled up to whole panels
// and K to a multiple of 8 (kPanelDepth) with weights of value 0. Codes are stored unsigned:
//
//   4 bits: u = w + 8    64 bytes hold 16 features × 8 inputs. Byte 4 c + j of feature c (0 … 15)
//   and
//           j = 0 … 3: low nibble = input j, high nibble = input 4 + j. Order of these 64-byte
//           pieces: [panel][K / 8][2 halves of 16 features].
//   8 bits: u = w + 128  64 bytes hold 16 features × 4 inputs, byte 4 c + j = input j. Order:
//           [panel][K / 4][2 halves].
//
// Scales are fp16 [panel][G][32], G = GroupCount(K, group); those of features beyond N are 0.
//
// Unsigned, because the instructions that multiply bytes (vpmaddubsw, vpdpbusd) want one unsigned
// side: Σ u x = Σ w x + bias Σ x, and Σ x comes with the activations (blocked_activations.h).
//
// Thread-safety: pure functions.
#pragma once

#include <cstdint>

namespace vlaserve::kernels {

inline constexpr int64_t kPanelColumns = 32;
inline constexpr int64_t kPanelDepth = 8;
// Most input features: Σ u x of unsigned 8-bit u and |x| ≤ 127 stays within 32 bits.
inline constexpr int64_t kMaxPanelDepth = 65536;

// What is added to a code of `bits` 4 or 8 to make it unsigned.
constexpr int32_t CodeBias(int64_t bits) { return bits == 4 ? 8 : 128; }

constexpr int64_t PanelCount(int64_t out_features) {
  return (out_features + kPanelColumns - 1) / kPanelColumns;
}
constexpr int64_t PaddedDepth(int64_t in_features) {
  return (in_features + kPanelDepth - 1) / kPanelDepth * kPanelDepth;
}

// Bytes of one panel's codes; scales per panel.
constexpr int64_t PanelCodeBytes(int64_t in_features, int64_t bits) {
  return PaddedDepth(in_features) * kPanelColumns * bits / 8;
}

// A layer's weights. N = out, K = in; K ≤ kMaxPanelDepth, so that 32-bit accumulators are exact.
struct PanelWeights {
  int64_t out_features = 0;
  int64_t in_features = 0;
  int64_t bits = 4;   // storage: 4 or 8
  int64_t group = 0;  // columns per scale, a multiple of 32; 0: per row. kernels/int_linear.h: one
                      // that spans all columns is not the same as 0
  const uint8_t* codes = nullptr;    // aligned to 64 bytes
  const uint16_t* scales = nullptr;  // fp16, aligned to 64 bytes
};

// Signed codes [N, K], row-major, one per byte → panels (PanelCount * PanelCodeBytes bytes, all
// written); and back.
void PackPanels(const int8_t* codes, int64_t out_features, int64_t in_features, int64_t bits,
                uint8_t* panels);
void UnpackPanels(const uint8_t* panels, int64_t out_features, int64_t in_features, int64_t bits,
                  int8_t* codes);

// The codes of output feature n alone: [K].
void UnpackPanelRow(const uint8_t* panels, int64_t in_features, int64_t bits, int64_t n,
                    int8_t* codes);

// fp16 scales [N, groups] → [panel][groups][32]; and back.
void PackPanelScales(const uint16_t* scales, int64_t out_features, int64_t groups,
                     uint16_t* panels);
void UnpackPanelScales(const uint16_t* panels, int64_t out_features, int64_t groups,
                       uint16_t* scales);

}  // namespace vlaserve::kernels
