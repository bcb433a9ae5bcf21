// PNG and JPEG files made to order, by libpng and libjpeg.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace vlaserve::testing {

struct PngSpec {
  uint32_t height = 4;
  uint32_t width = 6;
  int color_type = 2;  // PNG_COLOR_TYPE_RGB
  int bit_depth = 8;
  bool interlaced = false;
  // Rows of packed samples as libpng takes them.
  std::vector<uint8_t> rows;
  std::vector<uint8_t> palette;        // RGB triples
  std::vector<uint8_t> palette_alpha;  // tRNS of a palette picture
  bool transparent_black = false;      // tRNS of a grey or RGB picture: the colour 0
  bool srgb_gamma_chunks = false;      // gAMA 1/1.0: must not change a pixel
};

std::string EncodePng(const PngSpec& spec);

// A PNG of `height` × `width` RGB pixels with values 0, 1, 2, … modulo 251.
std::string RampPng(uint32_t height, uint32_t width);
std::vector<uint8_t> RampPixels(size_t count);

// Inserts a chunk (with a right CRC) after IHDR.
std::string WithPngChunk(const std::string& png, const std::string& type, const std::string& data);
// Replaces the content of the only IDAT chunk by `rows` (each begins with its filter's number, 0
// for none), compressed, and `rest`, not compressed.
std::string WithPngData(const std::string& png, const std::string& rows, const std::string& rest);
// Overwrites the size in IHDR and repairs its CRC.
std::string WithPngSize(std::string png, uint32_t height, uint32_t width);

struct JpegSpec {
  uint32_t height = 16;
  uint32_t width = 24;
  int components = 3;  // 1 grey, 3 RGB → YCbCr, 4 CMYK
  bool progressive = false;
  bool scan_per_coefficient = false;  // progressive with 1 + 63 * components scans, all legal
  std::vector<uint8_t> pixels;
};

std::string EncodeJpeg(const JpegSpec& spec);
// Overwrites the size in the frame header.
std::string WithJpegSize(std::string jpeg, uint16_t height, uint16_t width);

}  // namespace vlaserve::testing
