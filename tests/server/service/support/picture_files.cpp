#include "tests/server/service/support/picture_files.h"

#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include <jpeglib.h>
#include <png.h>
#include <zlib.h>

namespace vlaserve::testing {
namespace {

std::string BigEndian32(uint32_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xFF);
  return out;
}

std::string Chunk(const std::string& type, const std::string& data) {
  const std::string body = type + data;
  const uLong crc =
      crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()));
  return BigEndian32(static_cast<uint32_t>(data.size())) + body +
         BigEndian32(static_cast<uint32_t>(crc));
}

constexpr size_t kIhdrEnd = 8 + 12 + 13;

}  // namespace

std::vector<uint8_t> RampPixels(size_t count) {
  std::vector<uint8_t> pixels(count);
  for (size_t i = 0; i < count; ++i) pixels[i] = static_cast<uint8_t>(i % 251);
  return pixels;
}

std::string EncodePng(const PngSpec& spec) {
  std::string out;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(
      png, &out,
      [](png_structp p, png_bytep data, size_t size) {
        static_cast<std::string*>(png_get_io_ptr(p))
            ->append(reinterpret_cast<const char*>(data), size);
      },
      [](png_structp) {});
  png_set_IHDR(png, info, spec.width, spec.height, spec.bit_depth, spec.color_type,
               spec.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (!spec.palette.empty()) {
    png_set_PLTE(png, info, reinterpret_cast<png_const_colorp>(spec.palette.data()),
                 static_cast<int>(spec.palette.size() / 3));
  }
  if (!spec.palette_alpha.empty()) {
    png_set_tRNS(png, info, spec.palette_alpha.data(), static_cast<int>(spec.palette_alpha.size()),
                 nullptr);
  }
  if (spec.transparent_black) {
    png_color_16 black{};
    png_set_tRNS(png, info, nullptr, 0, &black);
  }
  if (spec.srgb_gamma_chunks) png_set_gAMA(png, info, 1.0);
  png_write_info(png, info);
  const size_t row_bytes = png_get_rowbytes(png, info);
  if (spec.rows.size() != row_bytes * spec.height) throw std::logic_error("PngSpec::rows");
  std::vector<png_bytep> rows;
  for (uint32_t row = 0; row < spec.height; ++row) {
    rows.push_back(const_cast<png_bytep>(spec.rows.data() + row * row_bytes));
  }
  png_write_image(png, rows.data());
  png_write_end(png, nullptr);
  png_destroy_write_struct(&png, &info);
  return out;
}

std::string RampPng(uint32_t height, uint32_t width) {
  PngSpec spec;
  spec.height = height;
  spec.width = width;
  spec.rows = RampPixels(size_t{3} * height * width);
  return EncodePng(spec);
}

std::string WithPngChunk(const std::string& png, const std::string& type, const std::string& data) {
  return png.substr(0, kIhdrEnd) + Chunk(type, data) + png.substr(kIhdrEnd);
}

std::string WithPngData(const std::string& png, const std::string& rows, const std::string& rest) {
  uLongf size = compressBound(rows.size());
  std::string data(size, '\0');
  compress(reinterpret_cast<Bytef*>(data.data()), &size,
           reinterpret_cast<const Bytef*>(rows.data()), rows.size());
  data.resize(size);
  return png.substr(0, png.find("IDAT") - 4) + Chunk("IDAT", data + rest) + Chunk("IEND", "");
}

std::string WithPngSize(std::string png, uint32_t height, uint32_t width) {
  const std::string data = BigEndian32(width) + BigEndian32(height) + png.substr(24, 5);
  return png.substr(0, 8) + Chunk("IHDR", data) + png.substr(kIhdrEnd);
}

std::string EncodeJpeg(const JpegSpec& spec) {
  jpeg_compress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* data = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &data, &size);
  jpeg.image_height = spec.height;
  jpeg.image_width = spec.width;
  jpeg.input_components = spec.components;
  jpeg.in_color_space = spec.components == 1   ? JCS_GRAYSCALE
                        : spec.components == 3 ? JCS_RGB
                                               : JCS_CMYK;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, 95, TRUE);
  std::vector<jpeg_scan_info> script;
  if (spec.scan_per_coefficient) {
    jpeg_scan_info dc{};
    dc.comps_in_scan = spec.components;
    for (int c = 0; c < spec.components; ++c) dc.component_index[c] = c;
    script.push_back(dc);
    for (int c = 0; c < spec.components; ++c) {
      for (int k = 1; k < 64; ++k) {
        jpeg_scan_info ac{};
        ac.comps_in_scan = 1;
        ac.component_index[0] = c;
        ac.Ss = ac.Se = k;
        script.push_back(ac);
      }
    }
    jpeg.scan_info = script.data();
    jpeg.num_scans = static_cast<int>(script.size());
  } else if (spec.progressive) {
    jpeg_simple_progression(&jpeg);
  }
  jpeg_start_compress(&jpeg, TRUE);
  std::vector<uint8_t> pixels = spec.pixels;
  const size_t stride = size_t{spec.width} * static_cast<size_t>(spec.components);
  pixels.resize(stride * spec.height, 128);
  while (jpeg.next_scanline < jpeg.image_height) {
    JSAMPROW row = pixels.data() + stride * jpeg.next_scanline;
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  std::string out(reinterpret_cast<const char*>(data), size);
  jpeg_destroy_compress(&jpeg);
  std::free(data);
  return out;
}

std::string WithJpegSize(std::string jpeg, uint16_t height, uint16_t width) {
  for (size_t at = 2; at + 9 < jpeg.size();) {
    const auto marker = static_cast<unsigned char>(jpeg[at + 1]);
    const size_t length = static_cast<size_t>(static_cast<unsigned char>(jpeg[at + 2])) << 8 |
                          static_cast<unsigned char>(jpeg[at + 3]);
    if (marker >= 0xC0 && marker <= 0xC2) {
      const uint16_t values[2] = {height, width};
      for (size_t i = 0; i < 2; ++i) {
        jpeg[at + 5 + 2 * i] = static_cast<char>(values[i] >> 8);
        jpeg[at + 6 + 2 * i] = static_cast<char>(values[i] & 0xFF);
      }
      return jpeg;
    }
    at += 2 + length;
  }
  throw std::logic_error("no frame header");
}

}  // namespace vlaserve::testing
